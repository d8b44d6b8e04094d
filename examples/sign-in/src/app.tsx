import { Account } from './account';
import { Connection } from './connection';
import { db } from './db';
import { Notes } from './notes';
import { SignIn } from './sign-in';

export function App() {
  const { isLoading, user, error } = db.useAuth();
  return (
    <main>
      <header>
        <h1>Private notes</h1>
        <Connection />
      </header>
      {error && <p role="alert">{error.message}</p>}
      {isLoading ? (
        <p className="quiet empty">Loading…</p>
      ) : user ? (
        <>
          <Account user={user} />
          <Notes ownerId={user.id} />
        </>
      ) : (
        <>
          <p className="intro">Notes that nobody but you can see. Sign in to write some.</p>
          <SignIn />
          <p className="guest quiet">
            No address at hand?{' '}
            <button type="button" onClick={() => void db.auth.signInAsGuest()}>
              Continue as a guest
            </button>
          </p>
        </>
      )}
    </main>
  );
}
