import { useEffect, useState } from 'react';
import type { ProjectDb, Workshop } from './workshop';

/** Whether the page is in touch with an app, in words and as a coloured dot. */
export function Connection({ db }: { readonly db: Workshop['db'] | ProjectDb }) {
  const status = db.useConnectionStatus();
  const [settled, setSettled] = useState(status);
  useEffect(() => {
    // A page that lost its server tries again and again; between two tries it stays offline.
    if (status === 'authenticated' || status === 'closed') setSettled(status);
  }, [status]);

  const isConnected = settled === 'authenticated';
  return (
    <p className="connection" data-connected={isConnected} role="status">
      {isConnected
        ? 'Connected'
        : settled === 'closed'
          ? 'Offline. Changes are kept and sent later'
          : 'Connecting…'}
    </p>
  );
}
