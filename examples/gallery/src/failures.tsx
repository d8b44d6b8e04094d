import { useEffect, useRef } from 'react';

interface Hint {
  readonly expected?: string;
}

/**
 * Why a write was refused, for the people who use the page. The server's own sentence is for
 * those who write it, so it goes to the console. The client hands on the `hint` of a refused
 * write, not its code.
 */
export function whyRefused(error: unknown): string {
  console.error(error);
  const { body, hint = body?.hint } = error as { body?: { hint?: Hint }; hint?: Hint };
  if (/^(has-storage-permission|perms-pass)/.test(hint?.expected ?? '')) return 'Only pictures.';
  return 'That could not be saved. Please try again.';
}

/** Stands above the page until it is dismissed; then the keyboard is back where it was. */
export function Refusal(props: { readonly text: string; readonly onDismiss: () => void }) {
  const cameFrom = useRef<HTMLElement | null>(null);
  return (
    <div className="refusal" role="alert">
      <p>{props.text}</p>
      <button
        type="button"
        onFocus={(event) => {
          cameFrom.current = event.relatedTarget as HTMLElement | null;
        }}
        onClick={() => {
          props.onDismiss();
          cameFrom.current?.focus();
        }}
      >
        Dismiss
      </button>
    </div>
  );
}

/** Instead of what a query would have shown. */
export function NotLoaded({ error }: { readonly error: object }) {
  useEffect(() => console.error(error), [error]);
  return (
    <p className="quiet empty" role="alert">
      This could not be loaded. Please reload the page.
    </p>
  );
}
