import { useState, type FormEvent } from 'react';
import { db } from './db';
import { Refusal, whyNotSignedIn } from './failures';
import { provider } from './settings';

/** By a code sent by e-mail, with the app's provider if it has one, or as a guest. */
export function SignIn({ mayBeGuest }: { readonly mayBeGuest: boolean }) {
  const [email, setEmail] = useState('');
  const [code, setCode] = useState('');
  const [isSent, setIsSent] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);

  async function attempt(step: () => Promise<unknown>) {
    setRefusal(null);
    try {
      await step();
    } catch (error) {
      setRefusal(whyNotSignedIn(error));
    }
  }

  function send(event: FormEvent) {
    event.preventDefault();
    void attempt(async () => {
      await db.auth.sendMagicCode({ email });
      setCode('');
      setIsSent(true);
    });
  }

  function enter(event: FormEvent) {
    event.preventDefault();
    // Copied from a mail, a code may come with spaces.
    const digits = code.replace(/\s/g, '');
    void attempt(() => db.auth.signInWithMagicCode({ email, code: digits }));
  }

  return (
    <div className="sign-in">
      {refusal !== null && <Refusal text={refusal} onDismiss={() => setRefusal(null)} />}
      {isSent ? (
        <form key="code" className="add" onSubmit={enter}>
          <input
            aria-label="Code"
            placeholder="Code"
            inputMode="numeric"
            autoComplete="one-time-code"
            maxLength={12}
            required
            autoFocus
            value={code}
            onChange={(event) => setCode(event.target.value)}
          />
          <button type="submit" className="primary">
            Sign in
          </button>
          <button type="button" onClick={() => setIsSent(false)}>
            Back
          </button>
        </form>
      ) : (
        <form key="address" className="add" onSubmit={send}>
          <input
            type="email"
            aria-label="E-mail"
            placeholder="you@example.com"
            autoComplete="email"
            maxLength={254}
            required
            // Filled in already: somebody came back to it.
            autoFocus={email !== ''}
            value={email}
            onChange={(event) => setEmail(event.target.value)}
          />
          <button type="submit" className="primary">
            Send code
          </button>
        </form>
      )}
      {isSent && (
        <p className="quiet sent">
          A code is on its way to <bdi>{email}</bdi>. A server without e-mail writes it into its
          log.
        </p>
      )}
      {provider !== '' && (
        <a
          className="button"
          href={db.auth.createAuthorizationURL({
            clientName: provider,
            redirectURL: location.href,
          })}
        >
          Sign in with <bdi>{provider}</bdi>
        </a>
      )}
      {mayBeGuest && (
        <p className="guest quiet">
          No address at hand?{' '}
          <button type="button" onClick={() => void attempt(() => db.auth.signInAsGuest())}>
            Continue as a guest
          </button>
        </p>
      )}
    </div>
  );
}
