/** Tabs in the machine's own Chromium, whose locks and channels no imitation equals. */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium, type Page } from '@playwright/test';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundled, CHROMIUM, ORIGIN, servePages, SocketWorld, until } from '../support/chromium.ts';
import { entity } from '../support/stage.ts';

let browser: Browser;
let built: Awaited<ReturnType<typeof bundled>>;

interface TabPage {
  readonly db: import('../../src/client/database.ts').Database;
  readonly state?: import('../../src/store/answer.ts').QueryState;
  write(id: string, name: string): Promise<{ status: string; ms: number }>;
  upload(path: string, bytes: number): Promise<boolean>;
}

const pageOf = 'page';

describe.skipIf(!existsSync(CHROMIUM))('in Chromium', () => {
  beforeAll(async () => {
    [built, browser] = await Promise.all([
      bundled('tabs-page.ts'),
      chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] }),
    ]);
  }, 120_000);
  afterAll(() => browser?.close());

  test('[J160, J161] two tabs, one connection; the leader dies, the other goes on', async () => {
    const { context, world } = await worldOf();
    const leader = await open(context);
    await showing(leader, 'server');
    const follower = await open(context);
    await showing(follower, 'server');
    expect([world.open, world.made]).toEqual([1, 1]);
    expect((await write(follower, 1, 'from the follower')).status).toBe('synced');
    expect(world.server.applied.size).toBe(1);

    // The process is killed: no event of the page's end comes.
    const killedAt = Date.now();
    await crash(leader);
    const crashedMs = Date.now() - killedAt;
    await write(follower, 1, 'after');
    const takenMs = Date.now() - killedAt;
    process.stdout.write(`leader killed; known after ${crashedMs} ms; write taken ${takenMs} ms\n`);
    await until(follower, async () => world.server.applied.size === 2);
    await showing(follower, 'server');
    expect([world.open, world.made]).toEqual([1, 2]);
    const third = await open(context);
    await showing(third, 'server');
    expect(world.open).toBe(1);
    await context.close();
  });

  test('[J164] a leader that stands still is replaced, and follows when it wakes', async () => {
    const { context, world } = await worldOf();
    const leader = await open(context);
    await showing(leader, 'server');
    const follower = await open(context);
    await showing(follower, 'server');
    // It handles no event for so long, as a page that the system stopped.
    const woken = leader.evaluate(() => {
      const end = performance.now() + 14_000;
      while (performance.now() < end);
    });
    const { ms } = await write(follower, 1, 'after');
    process.stdout.write(`leader frozen: write taken after ${ms.toFixed(0)} ms\n`);
    expect(ms).toBeGreaterThan(4_500);
    expect(world.server.applied.size).toBe(1);
    await woken;
    await until(leader, async () => world.open === 1);
    await until(leader, async () => (await connection(leader)) === 'authenticated');
    expect((await write(leader, 2, 'of the old leader')).status).toBe('synced');
    await until(follower, async () => world.server.applied.size === 2);
    expect(world.open).toBe(1);
    await context.close();
  }, 60_000);

  test('[J162] what tabs wrote that are gone is sent by the next, once', async () => {
    const { context, world } = await worldOf();
    const [leader, follower] = [await open(context), await open(context)];
    await showing(follower, 'server');
    world.goOffline();
    await until(follower, async () => (await connection(follower)) === 'closed');
    for (const [n, page] of [leader, follower].entries())
      expect(await enqueue(page, n + 1)).toBe('enqueued');
    await follower.close();
    await leader.close();
    world.isOnline = true;
    const last = await open(context);
    await until(last, async () => world.server.applied.size === 2);
    expect(world.open).toBe(1);
    await context.close();
  });

  test('[J174] a file that a tab kept goes up when all tabs of its time are gone', async () => {
    const { context, world } = await worldOf();
    const leader = await open(context);
    await showing(leader, 'server');
    const [follower, third] = [await open(context), await open(context)];
    for (const page of [follower, third]) await showing(page, 'server');
    world.goOffline();
    await until(follower, async () => (await connection(follower)) === 'closed');
    const upload = (page: Page, path: string) =>
      page.evaluate(
        ([name, file]) =>
          (window as never as Record<string, TabPage>)[name!]!.upload(file!, 900_000),
        [pageOf, path],
      );
    expect(await upload(follower, 'closed.png')).toBe(true);
    await follower.close();
    // Its leader dies before, or after it was told of this one.
    const saved = upload(third, 'killed.png');
    await crash(leader);
    expect(await saved).toBe(true);
    await third.close();
    const last = await open(context);
    await last.reload();
    await until(last, async () => (await waiting(last)) === 2);
    expect(world.files.log).toEqual([]);
    world.isOnline = true;
    await until(last, async () => (await waiting(last)) === 0);
    expect(world.files.log.toSorted()).toEqual(['closed.png', 'killed.png']);
    for (const { bytes } of world.files.stored.values()) expect(bytes).toHaveLength(900_000);
    await context.close();
  }, 60_000);

  test('[J166] signing out in one tab signs out the other', async () => {
    const { context } = await worldOf();
    const user = { id: entity(9), refresh_token: 'token' };
    await context.route(/verify_refresh_token/, (route) => route.fulfill({ json: { user } }));
    const [one, other] = [await open(context), await open(context)];
    const signedIn = (page: Page) =>
      page.evaluate((name) => {
        const { db } = (window as never as Record<string, TabPage>)[name]!;
        return db.authState.user?.id ?? null;
      }, pageOf);
    await one.evaluate((name) => {
      const { db } = (window as never as Record<string, TabPage>)[name]!;
      return db.auth.signInWithToken('token').then(() => undefined);
    }, pageOf);
    await until(other, async () => (await signedIn(other)) === user.id);
    await other.evaluate((name) => {
      const { db } = (window as never as Record<string, TabPage>)[name]!;
      return db.auth.signOut({ invalidateToken: false }).then(() => undefined);
    }, pageOf);
    await until(one, async () => (await signedIn(one)) === null);
    await context.close();
  });
});

async function worldOf(): Promise<{ context: BrowserContext; world: SocketWorld }> {
  const context = await browser.newContext();
  const world = new SocketWorld();
  await servePages(context, built.scripts, built.entry);
  await world.route(context);
  return { context, world };
}

async function open(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  await page.goto(ORIGIN);
  return page;
}

function showing(page: Page, source: string): Promise<void> {
  return until(page, () =>
    page.evaluate(
      ([name, wanted]) =>
        (window as never as Record<string, TabPage | undefined>)[name!]?.state?.source === wanted,
      [pageOf, source],
    ),
  );
}

function write(page: Page, number: number, name: string): Promise<{ status: string; ms: number }> {
  return page.evaluate(
    ([key, id, text]) => (window as never as Record<string, TabPage>)[key!]!.write(id!, text!),
    [pageOf, entity(number), name],
  );
}

function connection(page: Page): Promise<string> {
  return page.evaluate(
    (name) => (window as never as Record<string, TabPage>)[name]!.db.connectionStatus,
    pageOf,
  );
}

/** Writes without waiting for the server. */
function enqueue(page: Page, number: number): Promise<string> {
  return page.evaluate(
    ([name, id]) => {
      const { db } = (window as never as Record<string, TabPage>)[name!]!;
      const chunk = db.tx.tags![id!]!.update({ name: id });
      return db.transact(chunk).then(({ status }) => status);
    },
    [pageOf, entity(number)],
  );
}

/** How many writes wait. */
function waiting(page: Page): Promise<number> {
  return page.evaluate(
    (name) =>
      (window as never as Record<string, TabPage | undefined>)[name]?.db.pending.count ?? -1,
    pageOf,
  );
}

/** Ends the process of a page, as the system does for want of memory. */
async function crash(page: Page): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const crashed = page.waitForEvent('crash');
  // It is not answered: who would.
  devtools.send('Page.crash').catch(() => {});
  await crashed;
}
