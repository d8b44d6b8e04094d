import { appId, isAppId } from './settings';

/** What the page shows when its address names no app, no app's id, or one that does not open. */
export function NoApp() {
  const title = appId === '' ? 'Which app?' : isAppId ? 'No such app' : 'Not an app id';
  return (
    <main className="no-app">
      <h1>{title}</h1>
      {appId !== '' && isAppId && (
        <p>
          This server does not open the app <code>{appId}</code>. It may be on another server, or
          was made to try things and is gone.
        </p>
      )}
      {appId !== '' && !isAppId && (
        <p>
          <code>{appId}</code> in the address is not an app id; those look like{' '}
          <code>3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b</code>.
        </p>
      )}
      <p>
        Put <code>?app=&lt;app id&gt;</code> into the address. <code>make serve</code> makes an app
        and prints the complete link.
      </p>
    </main>
  );
}
