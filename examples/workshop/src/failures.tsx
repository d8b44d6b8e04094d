import { useState } from 'react';
import { Refused } from './workshop';

/** What went wrong, for the people who use the page; the console has the rest. */
export function reasonOf(error: unknown): string {
  console.error(error);
  return error instanceof Refused ? error.message : 'That did not work. Please try again.';
}

/** Does one thing at a time for a form or a button, and keeps why it failed. */
export function useTask() {
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);

  async function run(work: () => Promise<unknown>): Promise<void> {
    if (isBusy) return;
    setBusy(true);
    setFailure(null);
    try {
      await work();
    } catch (error) {
      setFailure(reasonOf(error));
    } finally {
      setBusy(false);
    }
  }

  return { isBusy, failure, setFailure, run };
}

export function Failure({ text }: { readonly text: string | null }) {
  if (text === null) return null;
  return (
    <p className="failure" role="alert">
      {text}
    </p>
  );
}
