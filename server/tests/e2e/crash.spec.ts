import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Page } from '@playwright/test';
import { address, createApp, expect, test } from './fixtures';
import type { App, Server } from './server';

const CORE = dirname(createRequire(import.meta.url).resolve('@instantdb/core/package.json'));

/** What the page did so far. Acknowledged means: its promise said `synced`. */
interface Traffic {
  readonly issued: string[];
  readonly acknowledged: string[];
  isStopping: boolean;
}

declare global {
  interface Window {
    instant: any;
    traffic: Traffic;
    allDone: Promise<unknown>;
  }
}

/**
 * Write without pause from eight lines at once until told to stop; offline, wait for the server.
 * `init` finds the connection that the page already has: the React client writes here.
 */
async function startTraffic(page: Page, server: Server, app: App): Promise<void> {
  await page.addScriptTag({ path: join(CORE, 'dist/standalone/index.umd.cjs') });
  await page.evaluate(
    ([appId, url]) => {
      const { init, id } = window.instant;
      const websocketURI = `${url.replace(/^http/, 'ws')}/runtime/session`;
      const db = init({ appId, apiURI: url, websocketURI, devtool: false });
      const traffic: Traffic = { issued: [], acknowledged: [], isStopping: false };
      const connected = () =>
        new Promise<void>((done) => {
          const stop = db.subscribeConnectionStatus((status: string) => {
            if (status === 'authenticated') queueMicrotask(() => (stop(), done()));
          });
        });
      const writeOn = async () => {
        while (!traffic.isStopping) {
          const todoId: string = id();
          traffic.issued.push(todoId);
          try {
            const title = `todo ${traffic.issued.length}`;
            const step = db.tx.todos[todoId].create({ title, done: false });
            const { status } = await db.transact(step);
            if (status === 'synced') traffic.acknowledged.push(todoId);
            else await connected();
          } catch {
            // Timed out unacknowledged: it may or may not be there, and nothing was promised.
          }
        }
      };
      window.traffic = traffic;
      window.allDone = Promise.all(Array.from({ length: 8 }, writeOn));
    },
    [app.id, server.url] as const,
  );
}

async function waitForAcknowledged(page: Page, count: number): Promise<void> {
  await page.waitForFunction((wanted) => window.traffic.acknowledged.length >= wanted, count);
}

test('every acknowledged write outlives a kill', async ({ ownServer, page }) => {
  const app = await createApp('todo', ownServer);
  await page.goto(address('todo', ownServer, app));
  await startTraffic(page, ownServer, app);

  for (const round of [1, 2]) {
    const before = await page.evaluate(() => window.traffic.acknowledged.length);
    await waitForAcknowledged(page, before + 100 * round);
    await ownServer.kill();
    const atKill = await page.evaluate(() => window.traffic.acknowledged.slice());
    await ownServer.restart();
    const stored = await storedIds(ownServer, app);
    expect(atKill.filter((id) => !stored.has(id))).toEqual([]);
  }

  const resumed = await page.evaluate(() => window.traffic.acknowledged.length);
  await waitForAcknowledged(page, resumed + 50);
  const traffic = await page.evaluate(async () => {
    window.traffic.isStopping = true;
    await window.allDone;
    return window.traffic;
  });
  const stored = await storedIds(ownServer, app);
  expect(traffic.acknowledged.length).toBeGreaterThanOrEqual(350);
  expect(traffic.acknowledged.filter((id) => !stored.has(id))).toEqual([]);
  const issued = new Set(traffic.issued);
  expect([...stored].filter((id) => !issued.has(id))).toEqual([]);
});

async function storedIds(server: Server, app: App): Promise<Set<string>> {
  const { todos } = await server.query(app, { todos: {} });
  const ids = todos.map((todo: { id: string }) => todo.id);
  expect(new Set(ids).size).toBe(ids.length);
  return new Set(ids);
}
