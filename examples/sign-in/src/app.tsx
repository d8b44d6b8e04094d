import { useEffect, useRef } from 'react';
import { Account } from './account';
import { Connection } from './connection';
import { db } from './db';
import { Failed } from './failures';
import { NoApp } from './no-app';
import { Notes } from './notes';
import { SignIn } from './sign-in';

export function App() {
  const { isLoading, user, error } = db.useAuth();
  const heading = useFocusOnChange(isLoading ? undefined : (user?.id ?? 'nobody'));
  if (db.useConnectionStatus() === 'errored') return <NoApp />;

  return (
    <main>
      <header>
        <h1 ref={heading} tabIndex={-1}>
          Private notes
        </h1>
        <Connection />
      </header>
      {error && <Failed text="That sign-in did not work. Please try again." error={error} />}
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
          <SignIn mayBeGuest />
        </>
      )}
    </main>
  );
}

/**
 * When another person is signed in, or nobody is, the form or button that did it has gone: the
 * keyboard goes on from the top. `who` is undefined as long as it is not known.
 */
function useFocusOnChange(who: string | undefined) {
  const heading = useRef<HTMLHeadingElement>(null);
  const previous = useRef(who);
  useEffect(() => {
    if (previous.current !== undefined && previous.current !== who) heading.current?.focus();
    previous.current = who;
  }, [who]);
  return heading;
}
