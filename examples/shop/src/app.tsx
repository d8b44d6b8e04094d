import { Cart } from './cart';
import { Catalogue } from './catalogue';
import { db } from './db';
import { Orders } from './orders';

export function App() {
  const { user } = db.useAuth();
  return (
    <main>
      <header>
        <h1>Paper &amp; Ink</h1>
        <Connection />
      </header>
      <Catalogue />
      {user && (
        <>
          <Cart />
          <Orders />
        </>
      )}
    </main>
  );
}

function Connection() {
  const status = db.useConnectionStatus();
  const isConnected = status === 'authenticated';
  return (
    <p className="connection" data-connected={isConnected} role="status">
      {isConnected ? 'Connected' : status === 'closed' ? 'Offline' : 'Connecting…'}
    </p>
  );
}
