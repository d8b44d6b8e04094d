/** The first write of a new app, on a real server: shown at once, and never gone again. */
import { expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import { Database } from '../../src/client/database.ts';
import { webEnvironment } from '../../src/web/environment.ts';
import { LiveApp, LiveServer } from '../support/live-server.ts';
import { entity } from '../support/stage.ts';

test('[J1, J22] the first write of a new app stays shown', async () => {
  const server = await LiveServer.start();
  const app = await LiveApp.make(server);
  // Node has no WebSocket of its own before version 22.
  vi.stubGlobal('WebSocket', WebSocket);
  const db = new Database({ appId: app.id, server: server.url }, webEnvironment());
  const shown: number[] = [];
  let heard: () => void = () => {};
  db.subscribeQuery({ todos: {} }, ({ data }) => {
    shown.push((data?.todos ?? []).length);
    heard();
  });
  while (shown.length === 0) await new Promise<void>((resolve) => (heard = resolve));

  const { status } = await db.transact(db.tx.todos![entity(1)]!.create({ title: 'first' }));
  expect(status).toBe('synced');
  while (db.pending.count > 0) await new Promise<void>((resolve) => setImmediate(resolve));
  expect(shown[0]).toBe(0);
  expect(new Set(shown.slice(1))).toEqual(new Set([1]));
  await db.shutdown();
  app.close();
  await server.stop();
});
