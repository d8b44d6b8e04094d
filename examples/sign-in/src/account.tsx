import type { User } from '@instantdb/react';
import { db } from './db';
import { SignIn } from './sign-in';

/** Who is signed in. A guest may sign up, and keeps what it wrote. */
export function Account({ user }: { readonly user: User }) {
  const isGuest = user.type === 'guest';
  return (
    <section aria-label="Account">
      <p className="account">
        <bdi>{isGuest ? 'You are a guest.' : user.email}</bdi>
        <button type="button" onClick={() => void db.auth.signOut()}>
          Sign out
        </button>
      </p>
      {isGuest && (
        <details className="keep">
          <summary>Keep these notes: sign up</summary>
          <SignIn mayBeGuest={false} />
        </details>
      )}
    </section>
  );
}
