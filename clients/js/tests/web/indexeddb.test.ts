/** The disk of browsers, in the machine's own Chromium, whose IndexedDB no imitation equals. */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium, type Page } from '@playwright/test';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Clock } from '../simulation/clock.ts';
import { Server } from '../simulation/server.ts';
import { bundled } from '../support/bundled.ts';
import { DISK_CONTRACT } from '../support/disk-contract.ts';
import { Random } from '../support/random.ts';
import { SHELF_ATTRS, SHELF_SCHEMA, SHELF_TRIPLES } from '../support/shelf.ts';
import { entity } from '../support/stage.ts';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ORIGIN = 'http://localhost:1';

let browser: Browser;
let script: string;

interface Shown {
  readonly pending: string[];
  readonly tags: unknown[] | null;
  readonly source: string | undefined;
  readonly storage: string;
  readonly connection: string;
}

describe.skipIf(!existsSync(CHROMIUM))('in Chromium', () => {
  beforeAll(async () => {
    [script, browser] = await Promise.all([
      bundled('../web/disk-page.ts'),
      chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] }),
    ]);
  }, 120_000);
  afterAll(() => browser?.close());

  test('[J84] IndexedDB does what a disk does', async () => {
    const page = await pageOf(await browser.newContext());
    for (const name of Object.keys(DISK_CONTRACT))
      await page
        .evaluate((one) => window.page.contract(one), name)
        .catch((error: unknown) => {
          throw new Error(`${name}: ${String(error)}`);
        });
    await page.evaluate(() => window.page.wipedElsewhere());
    await page.context().close();
  });

  test('[J71, J74] offline, reload, write, reload, online', async () => {
    const context = await browser.newContext();
    const world = new OnlineWorld();
    const page = await pageOf(context, world);
    await until(page, ({ source }) => source === 'server');
    const before = (await shown(page)).tags;
    expect(before).toEqual((world.server.rows({ tags: {} }) as { tags: unknown[] }).tags);
    while ((await page.evaluate(() => window.page.answers())) === 0);
    world.goOffline();

    for (const name of ['one', 'two']) {
      await page.goto(ORIGIN);
      const { source } = await until(page, ({ tags }) => tags !== null);
      expect(source).toBe('cache');
      await page.evaluate(
        ([id, label]) => {
          const { db } = window.page;
          return db.transact(db.tx.tags![id!]!.update({ name: label })).then(({ status }) => {
            if (status !== 'enqueued') throw new Error(status);
          });
        },
        [entity(name.length + Number(name === 'two')), name],
      );
    }
    await page.reload();
    const { pending } = await until(page, (state) => state.pending.length === 2);
    expect(pending).toEqual(['queued', 'queued']);
    world.goOnline();
    await page.reload();
    await until(page, (state) => state.pending.length === 0 && state.source === 'server');
    expect(world.server.applied.size).toBe(2);
    const { tags } = await shown(page);
    expect(tags).toEqual((world.server.rows({ tags: {} }) as { tags: unknown[] }).tags);
    expect(world.held).toContain(true);
    await context.close();
  });

  test('[J77] site data deleted in use is told, and what waits is saved again', async () => {
    const context = await browser.newContext();
    const page = await pageOf(context, new OnlineWorld(false));
    await until(page, ({ storage }) => storage === 'ready');
    await write(page, 1);
    const devtools = await context.newCDPSession(page);
    await devtools.send('Storage.clearDataForOrigin', {
      origin: ORIGIN,
      storageTypes: 'indexeddb',
    });
    await write(page, 2);
    await until(page, ({ storage }) => storage === 'reset');
    await page.reload();
    await until(page, ({ pending }) => pending.length === 2);
    await context.close();
  });

  test('[J78] without room writes go on in memory, and are saved once there is', async () => {
    const context = await browser.newContext();
    // Chromium remembers for a while after a write how much room there is: none was made yet, as
    // none is to say which tab leads.
    const page = await pageOf(context, new OnlineWorld(false), false);
    const devtools = await context.newCDPSession(page);
    await devtools.send('Storage.overrideQuotaForOrigin', { origin: ORIGIN, quotaSize: 1 });
    expect(await write(page, 1)).toBe('enqueued');
    await until(page, ({ storage }) => storage === 'full');
    await devtools.send('Storage.overrideQuotaForOrigin', { origin: ORIGIN });
    await until(page, ({ storage }) => storage === 'ready');
    await page.reload();
    await until(page, ({ pending }) => pending.length === 1);
    await context.close();
  });
});

declare global {
  interface Window {
    page: {
      contract(name: string): Promise<void>;
      wipedElsewhere(): Promise<void>;
      answers(): Promise<number>;
      start(
        server: string,
        schema: import('../../src/schema/shape.ts').SchemaShape,
        appId?: string,
      ): void;
      readonly db: import('../../src/client/database.ts').Database;
      readonly state?: import('../../src/store/answer.ts').QueryState;
    };
  }
}

/** The simulation's server, behind a WebSocket that may be missing. */
class OnlineWorld {
  readonly server = new Server(new Clock(), new Random(1), SHELF_ATTRS, SHELF_TRIPLES);
  /** Of each question: whether it named a version. */
  readonly held: boolean[] = [];
  isOnline: boolean;
  #close: (() => void)[] = [];

  constructor(isOnline = true) {
    this.isOnline = isOnline;
  }

  goOnline(): void {
    this.isOnline = true;
  }

  goOffline(): void {
    this.isOnline = false;
    for (const close of this.#close.splice(0)) close();
  }

  async route(context: BrowserContext): Promise<void> {
    await context.routeWebSocket(/runtime\/session/, (socket) => {
      if (!this.isOnline) return void socket.close({ code: 4000 });
      const end = this.server.accept({
        send: (text) => socket.send(text),
        close: (code) => void socket.close({ code }),
      });
      socket.onMessage((text) => {
        const message = JSON.parse(String(text)) as Record<string, unknown>;
        if (message.op === 'add-query') this.held.push('held' in message);
        end.received(String(text));
      });
      socket.onClose(() => end.closed());
      this.#close.push(() => void socket.close({ code: 4000 }));
    });
  }
}

/** The page, from memory: nothing is served. */
async function pageOf(context: BrowserContext, world?: OnlineWorld, tabs = true): Promise<Page> {
  await world?.route(context);
  await context.route('**/*', (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === '/page.js')
      return route.fulfill({ contentType: 'text/javascript; charset=utf-8', body: script });
    const start = world
      ? `page.start(${JSON.stringify(ORIGIN)}, ${JSON.stringify(SHELF_SCHEMA)}, "app", ${tabs})`
      : '';
    const body = `<!doctype html><script src="/page.js"></script><script>${start}</script>`;
    return route.fulfill({ contentType: 'text/html; charset=utf-8', body });
  });
  const page = await context.newPage();
  await page.goto(ORIGIN);
  return page;
}

function shown(page: Page): Promise<Shown> {
  return page.evaluate(() => {
    const { db, state } = window.page;
    return {
      pending: db.pending.list().map((entry) => entry.state),
      tags: state?.data?.tags ?? null,
      source: state?.source,
      storage: db.storageStatus,
      connection: db.connectionStatus,
    } as Shown;
  });
}

/** Waits until the page shows what is wanted; the test's own bound ends it. */
async function until(page: Page, isDone: (state: Shown) => boolean): Promise<Shown> {
  for (;;) {
    const state = await shown(page);
    if (isDone(state)) return state;
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
  }
}

function write(page: Page, number: number): Promise<string> {
  return page.evaluate((id) => {
    const { db } = window.page;
    return db.transact(db.tx.tags![id]!.update({ name: id })).then(({ status }) => status);
  }, entity(number));
}
