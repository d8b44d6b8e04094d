import { expect, test } from 'vitest';
import { Transports } from '../../src/session/transports.ts';
import { entity, Stage } from '../support/stage.ts';

const MINUTE_MS = 60_000;

test('[J130] after two WebSockets that came to nothing attempts alternate', () => {
  const transports = new Transports();
  const attempts = Array.from({ length: 6 }, () => transports.next());
  expect(attempts).toEqual([
    'websocket',
    'websocket',
    'events',
    'websocket',
    'events',
    'websocket',
  ]);
});

test('[J130] the transport that opened a session is the first choice', () => {
  const transports = new Transports();
  transports.succeeded('events');
  expect([transports.next(), transports.next(), transports.next()]).toEqual([
    'events',
    'websocket',
    'events',
  ]);
  transports.reset();
  expect([transports.next(), transports.next()]).toEqual(['websocket', 'websocket']);
});

test.each(['refused', 'mute'] as const)(
  '[J130] where WebSockets are %s an event stream carries the session',
  async (fate) => {
    const stage = new Stage();
    stage.network.webSockets = fate;
    const db = stage.device();
    let shown: unknown;
    db.subscribeQuery({ books: {} }, ({ data }) => {
      shown = data;
    });
    await stage.clock.pass(MINUTE_MS);
    expect(stage.network.attempts).toEqual(['websocket', 'websocket', 'events']);
    const written = db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
    await stage.settle();
    await expect(written).resolves.toMatchObject({ status: 'synced' });
    expect(shown).toEqual(stage.server.rows({ books: {} }));
  },
);

test('[J131] WebSockets are tried again every 5 min, and used once they answer', async () => {
  const stage = new Stage();
  stage.network.webSockets = 'mute';
  const db = stage.device();
  await stage.clock.pass(MINUTE_MS);
  const { attempts } = stage.network;
  attempts.length = 0;
  const statuses: string[] = [];
  db.onConnectionStatusChange((status) => statuses.push(status));
  await stage.clock.pass(11 * MINUTE_MS);
  expect(attempts).toEqual(['websocket', 'websocket']);
  // The session went on meanwhile.
  expect(statuses).toEqual([]);
  stage.network.webSockets = 'work';
  await stage.clock.pass(6 * MINUTE_MS);
  expect(attempts).toEqual(['websocket', 'websocket', 'websocket', 'websocket']);
  expect(db.connectionStatus).toBe('authenticated');
  await stage.clock.pass(20 * MINUTE_MS);
  expect(attempts).toHaveLength(4);
});

test('[J131] on another network a WebSocket is tried at once', async () => {
  const stage = new Stage();
  stage.network.webSockets = 'refused';
  const db = stage.device();
  await stage.clock.pass(MINUTE_MS);
  stage.network.webSockets = 'work';
  stage.network.attempts.length = 0;
  stage.network.wakeAll();
  await stage.clock.pass(5_000);
  expect(stage.network.attempts).toEqual(['websocket', 'websocket']);
  expect(db.connectionStatus).toBe('authenticated');
});
