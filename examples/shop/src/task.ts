import { useState } from 'react';
import { TriceError } from 'tricedb';

export interface Task {
  readonly isBusy: boolean;
  readonly failure: string | null;
  readonly run: (work: () => Promise<unknown>) => Promise<void>;
}

/** One thing at a time that a person started: whether it goes on, and why it failed. */
export function useTask(): Task {
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const run = async (work: () => Promise<unknown>): Promise<void> => {
    setBusy(true);
    setFailure(null);
    try {
      await work();
    } catch (error) {
      setFailure(told(error));
    } finally {
      setBusy(false);
    }
  };
  return { isBusy, failure, run };
}

/** What a function refuses is said in its own words; all else in ours. */
export function told(error: unknown): string {
  if (error instanceof TriceError && error.code === 'function-error') return error.message;
  if (error instanceof TriceError && error.code === 'rate-limited')
    return 'Too fast. Wait a moment.';
  if (error instanceof TriceError && error.code === 'offline') return 'There is no connection.';
  console.error(error);
  return 'That did not work. Please try again.';
}
