import { useState } from 'react';
import { db } from './db';
import { provider } from './settings';

/** By a code sent by e-mail, or with the app's provider if it has one. */
export function SignIn() {
  const [email, setEmail] = useState('');
  const [isSent, setIsSent] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);

  async function attempt(step: () => Promise<unknown>) {
    try {
      await step();
      setRefusal(null);
    } catch (error) {
      setRefusal(error instanceof Error ? error.message : String(error));
    }
  }

  const send = () =>
    attempt(async () => {
      await db.auth.sendMagicCode({ email });
      setIsSent(true);
    });
  const enter = (form: FormData) =>
    attempt(() => db.auth.signInWithMagicCode({ email, code: String(form.get('code')) }));

  return (
    <div className="sign-in">
      {refusal !== null && <p role="alert">{refusal}</p>}
      {isSent ? (
        <form key="code" className="add" action={enter}>
          <input name="code" aria-label="Code" placeholder="Code" inputMode="numeric" autoFocus />
          <button type="submit" className="primary">
            Sign in
          </button>
          <button type="button" onClick={() => setIsSent(false)}>
            Back
          </button>
        </form>
      ) : (
        <form key="address" className="add" action={send}>
          <input
            type="email"
            aria-label="E-mail"
            placeholder="you@example.com"
            value={email}
            onChange={(event) => setEmail(event.target.value)}
          />
          <button type="submit" className="primary">
            Send code
          </button>
        </form>
      )}
      {isSent && <p className="quiet sent">A code is on its way to {email}.</p>}
      {provider !== '' && (
        <a
          className="button"
          href={db.auth.createAuthorizationURL({
            clientName: provider,
            redirectURL: location.href,
          })}
        >
          Sign in with {provider}
        </a>
      )}
    </div>
  );
}
