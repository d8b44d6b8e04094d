import { InstantAPIError } from '@instantdb/react';
import { useEffect, useRef } from 'react';

const SIGN_IN_FAILURES: Record<string, string> = {
  'record-not-found': 'That code is wrong or was used already.',
  'record-expired': 'That code is too old. Go back and ask for a new one.',
  'rate-limited': 'Too many tries. Please wait a few minutes.',
  'email-send-failed': 'The e-mail could not be sent. Please try again later.',
  'param-malformed': 'That does not look right. Please check it.',
  'permission-denied': 'You may not sign up here.',
};

/**
 * Why somebody could not sign in, for the people who use the page. The server's own sentence is
 * for those who write it, so it goes to the console; what to tell people goes by its code.
 */
export function whyNotSignedIn(error: unknown): string {
  console.error(error);
  if (!(error instanceof InstantAPIError)) return 'The server does not answer. Please try again.';
  return SIGN_IN_FAILURES[error.body?.type ?? ''] ?? 'That did not work. Please try again.';
}

/** Why a note was refused. The client hands on the `hint` of a refused write, not its code. */
export function whyRefused(error: unknown): string {
  console.error(error);
  const { hint } = error as { hint?: Record<string, unknown> };
  return hint?.['expected'] === 'perms-pass?'
    ? 'Not saved: a note has at most 80 characters, and you can change only your own.'
    : 'That could not be saved. Please try again.';
}

/** Stands there until it is dismissed; then the keyboard is back where it was. */
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

/** In place of what could not be shown. */
export function Failed(props: { readonly text: string; readonly error: object }) {
  useEffect(() => console.error(props.error), [props.error]);
  return (
    <p className="failed" role="alert">
      {props.text}
    </p>
  );
}
