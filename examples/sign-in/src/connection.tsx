import { db } from './db';

/** Whether the page is in touch with the server, in words and as a coloured dot. */
export function Connection() {
  const status = db.useConnectionStatus();
  const isConnected = status === 'authenticated';
  return (
    <p className="connection" data-connected={isConnected} role="status">
      {isConnected
        ? 'Connected'
        : status === 'errored'
          ? 'The server refused this app'
          : 'Offline. Changes are kept and sent later'}
    </p>
  );
}
