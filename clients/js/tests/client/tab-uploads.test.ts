/** Uploads, merged writes and rest among the tabs of one browser. */
import { beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/client/database.ts';
import type { Upload } from '../../src/client/upload.ts';
import { hydrate } from '../../src/ssr/hydrate.ts';
import { Browser } from '../simulation/browser.ts';
import { BOOKS, titles } from '../support/disk-stage.ts';
import { PageStage } from '../support/page-stage.ts';
import { bytesOf } from '../support/photo-stage.ts';
import { PhotoTabs } from '../support/photo-tabs.ts';
import { entity } from '../support/stage.ts';
import { outcomeOf, states, TabStage, watch } from '../support/tab-stage.ts';

// The code of both is fetched at first use; here it is there, so that only the clock counts.
beforeAll(() => import('../../src/client/later.ts'));

const KIB = 1024;
const COVERS = { books: { $: { where: { id: entity(1) } }, cover: {} } };

function take(db: Database, path: string, bytes = 300 * KIB): Upload {
  const upload = db.storage.uploadFile(path, bytesOf(bytes), { contentType: 'image/png' });
  upload.catch(() => {});
  return upload;
}

function link(db: Database, upload: Upload) {
  return db.transact(
    db.tx.books![entity(1)]!.update({ title: 'A' }).link({ cover: upload.fileId }),
  );
}

/** The file to which the book's cover leads on the server. */
function coverOf(stage: PhotoTabs): string | undefined {
  const { books } = stage.server.rows(COVERS) as { books: { cover?: { id: string } }[] };
  return books[0]?.cover?.id;
}

/** Three tabs that are offline; the first leads. */
async function offlineTabs(stage: PhotoTabs) {
  const tabs = [await stage.tab(), await stage.tab(), await stage.tab()] as const;
  for (const { db } of tabs) db.subscribeQuery(COVERS, () => {});
  await stage.settle();
  stage.isOnline = false;
  await stage.clock.pass(3_000);
  return tabs;
}

test('[J174] a file of any tab is kept: whoever dies, it goes up, and what names it', async () => {
  const stage = new PhotoTabs();
  const [leader, follower, third] = await offlineTabs(stage);
  const upload = take(follower.db, 'cat.png');
  const outcome = outcomeOf(link(follower.db, upload));
  const behind = outcomeOf(
    follower.db.transact(follower.db.tx.tags![entity(5)]!.update({ name: 'behind' })),
  );
  await stage.clock.pass(1_000);
  expect(await upload.saved).toBe(true);
  expect(stage.kept).toEqual([upload.clientId]);
  expect([leader, follower, third].map(states)).toEqual(Array(3).fill(Array(3).fill('queued')));
  expect([outcome, behind]).toEqual([{ status: 'enqueued' }, { status: 'enqueued' }]);

  follower.kill();
  stage.isOnline = true;
  await stage.settle();
  expect(stage.files.log).toEqual(['cat.png']);
  expect(coverOf(stage)).toBe(upload.fileId);
  expect([leader, third].map(states)).toEqual([[], []]);
  expect([stage.kept, stage.browser.stored.pending.size]).toEqual([[], 0]);
});

test.each(['leader', 'all'] as const)(
  '[J174, J175] the tab that chose a file dies, and then %s: the next sends it',
  async (who) => {
    const stage = new PhotoTabs();
    const [leader, follower, third] = await offlineTabs(stage);
    const upload = take(follower.db, 'cat.png');
    void link(follower.db, upload).catch(() => {});
    await stage.clock.pass(1_000);
    follower.kill();
    leader.kill();
    if (who === 'all') third.kill();
    await stage.clock.pass(5_000);
    const last = who === 'all' ? await stage.tab() : third;
    expect(states(last)).toEqual(['queued', 'queued']);
    stage.isOnline = true;
    await stage.settle();
    expect(stage.files.log).toEqual(['cat.png']);
    expect(coverOf(stage)).toBe(upload.fileId);
    expect([states(last), stage.kept]).toEqual([[], []]);
  },
);

test('[J174] a file that is kept while nobody leads is found, though its tab is gone', async () => {
  const stage = new PhotoTabs();
  const [leader, follower, third] = await offlineTabs(stage);
  // It hears nobody any more, and nobody hears it.
  leader.freeze(false);
  const upload = take(follower.db, 'cat.png');
  while (!stage.rows.some((key) => key.startsWith('given:'))) await stage.clock.pass(1);
  await stage.clock.pass(100);
  expect(await upload.saved).toBe(true);
  follower.kill();
  leader.kill();
  await stage.clock.pass(20_000);
  expect(states(third)).toEqual(['queued']);
  stage.isOnline = true;
  await stage.settle();
  expect(stage.files.log).toEqual(['cat.png']);
  expect([stage.kept, stage.rows]).toEqual([[], []]);
});

test('[J174] a leader finds the file of a tab that died before it could tell of it', async () => {
  const stage = new PhotoTabs();
  const [leader, follower] = await offlineTabs(stage);
  const upload = take(follower.db, 'cat.png');
  // What it says from now on is lost.
  stage.browser.isDeaf = true;
  await stage.clock.pass(1_000);
  expect(await upload.saved).toBe(true);
  expect([states(leader), stage.kept]).toEqual([[], [upload.clientId]]);
  stage.browser.isDeaf = false;
  follower.kill();
  await stage.clock.pass(500);
  expect(states(leader)).toEqual(['queued']);
  stage.isOnline = true;
  await stage.settle();
  expect(stage.files.log).toEqual(['cat.png']);
  expect([stage.kept, stage.rows]).toEqual([[], []]);
});

test('[J174] a follower sees how far its file is, and pauses it', async () => {
  const stage = new PhotoTabs();
  const [leader, follower, third] = [await stage.tab(), await stage.tab(), await stage.tab()];
  await stage.settle();
  const upload = take(follower.db, 'cat.png', 9_000 * KIB);
  const seen = new Set<number>();
  let hasPaused = false;
  upload.subscribe(() => {
    seen.add(upload.progress.sentBytes);
    if (hasPaused || seen.size < 3) return;
    hasPaused = true;
    upload.pause();
  });
  await stage.settle();
  expect([upload.state, stage.files.log]).toEqual(['paused', []]);
  // The next one is told, too.
  leader.kill();
  await stage.settle();
  expect([upload.state, stage.files.log]).toEqual(['paused', []]);
  upload.resume();
  await stage.settle();
  expect([upload.state, stage.files.log]).toEqual(['done', ['cat.png']]);
  expect(seen.size).toBeGreaterThan(2);
  expect([follower, third].map(states)).toEqual([[], []]);
});

test('[J174] what no disk takes a follower sends itself, and says so', async () => {
  const stage = new PhotoTabs();
  const [, follower, third] = await offlineTabs(stage);
  stage.browser.isFull = true;
  const upload = take(follower.db, 'cat.png');
  const outcome = outcomeOf(link(follower.db, upload));
  await stage.clock.pass(1_000);
  expect(await upload.saved).toBe(false);
  // What names it is given to the leader once it is stored; nothing said that it is kept.
  expect([states(third), outcome]).toEqual([[], {}]);
  stage.browser.isFull = false;
  stage.isOnline = true;
  await stage.settle();
  expect(upload.state).toBe('done');
  expect(outcome).toEqual({ status: 'synced' });
  expect(coverOf(stage)).toBe(upload.fileId);
  expect([follower, third].map(states)).toEqual([[], []]);
  await stage.clock.pass(15_000);
  expect([stage.kept, stage.rows]).toEqual([[], []]);
});

test('[J174] a follower pauses, drops and retries its own files', async () => {
  const stage = new PhotoTabs();
  const [, follower] = await offlineTabs(stage);
  const [one, other] = [take(follower.db, 'a'), take(follower.db, 'b')];
  one.pause();
  follower.db.pending.drop(other.clientId);
  stage.isOnline = true;
  await stage.settle();
  expect([one.state, other.state]).toEqual(['paused', 'failed']);
  expect(stage.files.log).toEqual([]);
  one.resume();
  await stage.settle();
  expect(stage.files.log).toEqual(['a']);

  stage.files.refusal = { status: 403, body: { type: 'permission-denied', message: 'no' } };
  const refused = take(follower.db, 'c');
  const naming = outcomeOf(link(follower.db, refused));
  await stage.settle();
  expect(naming).toEqual({ code: 'upload-failed' });
  expect(states(follower)).toEqual(['rejected', 'rejected']);
  stage.files.refusal = null;
  follower.db.pending.retry(refused.clientId);
  await stage.settle();
  expect(stage.files.log).toEqual(['a', 'c']);
  expect(states(follower)).toEqual([]);
  expect(coverOf(stage)).toBe(refused.fileId);
});

test('[J174] a write that names a file of the leader waits for it in every tab', async () => {
  const stage = new PhotoTabs();
  const [leader, follower] = await offlineTabs(stage);
  const upload = take(leader.db, 'cat.png');
  await stage.clock.pass(1_000);
  expect(await upload.saved).toBe(true);
  const outcome = outcomeOf(link(follower.db, upload));
  await stage.clock.pass(1_000);
  expect(states(follower)).toEqual(['queued', 'queued']);
  stage.isOnline = true;
  await stage.settle();
  expect(outcome).toEqual({ status: 'enqueued' });
  expect([leader, follower].map(states)).toEqual([[], []]);
  expect(stage.files.log).toEqual(['cat.png']);
});

test('[J176] the next leader goes on with a file where the server is', async () => {
  const stage = new PhotoTabs();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  const upload = take(leader.db, 'cat.png', 9_000 * KIB);
  await new Promise<void>((resolve) => {
    upload.subscribe(() => {
      if (upload.progress.sentBytes > 0) resolve();
    });
    void stage.clock.pass(5_000);
  });
  leader.kill();
  await stage.settle();
  expect(stage.files.log).toEqual(['cat.png']);
  expect(stage.files.requests.some(({ name }) => name === 'HEAD tus')).toBe(true);
  const sent = stage.files.requests.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(sent).toBeLessThan(2 * 9_000 * KIB);
  expect(states(follower)).toEqual([]);
});

test('[J175, J176] a tab goes on with its own file that the leader was sending', async () => {
  const stage = new PhotoTabs();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  const upload = take(follower.db, 'cat.png', 9_000 * KIB);
  await new Promise<void>((resolve) => {
    upload.subscribe(() => {
      if (upload.progress.sentBytes > 0) resolve();
    });
    void stage.clock.pass(8_000);
  });
  expect(upload.state).toBe('sending');
  leader.kill();
  await stage.settle();
  expect([upload.state, stage.files.log]).toEqual(['done', ['cat.png']]);
  expect(stage.files.requests.some(({ name }) => name === 'HEAD tus')).toBe(true);
  expect([states(follower), stage.kept]).toEqual([[], []]);
});

test.each([true, false])(
  '[J176] a leader that froze is told that its file was stored (told %s)',
  async (isTold) => {
    const stage = new PhotoTabs();
    const [leader, follower] = await offlineTabs(stage);
    const upload = take(leader.db, 'cat.png');
    await stage.clock.pass(1_000);
    leader.freeze(isTold);
    // Somebody asks: a leader that says nothing is replaced.
    void follower.db.transact(follower.db.tx.tags![entity(5)]!.update({ name: 'x' }));
    await stage.clock.pass(10_000);
    stage.isOnline = true;
    await stage.clock.pass(60_000);
    expect(stage.files.log).toEqual(['cat.png']);
    follower.kill();
    leader.thaw();
    await stage.settle();
    expect(upload.state).toBe('done');
    expect(stage.files.log).toEqual(['cat.png']);
  },
);

test('[J177] writes of tabs stay apart: each has its own outcome', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(3_000);
  const outcomes = [];
  for (const [tab, title] of [
    [follower, 'a'],
    [leader, 'b'],
    [leader, 'c'],
    [follower, 'd'],
  ] as const) {
    outcomes.push(outcomeOf(tab.db.transact(tab.db.tx.books![entity(1)]!.update({ title }))));
    await stage.clock.pass(1_000);
  }
  expect([leader, follower].map(states)).toEqual(Array(2).fill(Array(4).fill('queued')));
  stage.network.isUp = true;
  await stage.settle();
  expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['enqueued']));
  expect(states(leader)).toEqual([]);
  const titles = stage.ops('transact').map(({ 'tx-steps': steps }) => JSON.stringify(steps));
  expect(titles).toHaveLength(4);
  expect(titles.at(-1)).toContain('"d"');
});

test('[J178] a hidden tab lets go of its connection unless others follow it', async () => {
  const stage = new TabStage();
  let isHidden = true;
  stage.browser.isHidden = () => isHidden;
  const leader = await stage.tab();
  watch(leader.db);
  const follower = await stage.tab();
  await stage.clock.pass(10 * 60_000);
  expect(stage.open).toBe(1);
  follower.kill();
  await stage.clock.pass(10 * 60_000);
  expect(stage.open).toBe(0);
  isHidden = false;
  const seen = watch((await stage.tab()).db);
  await stage.settle();
  expect(seen.at(-1)?.source).toBe('server');
});

test('[J160, J182] what a follower hydrates is asked of the leader by its version', async () => {
  const stage = new PageStage(5);
  const browser = new Browser(stage.clock, stage.random, stage.network);
  const leader = browser.open();
  watch(leader.db);
  await stage.settle();
  const server = stage.pageDb();
  await server.preload(BOOKS);
  const { db } = browser.open();
  expect(hydrate(db, JSON.parse(JSON.stringify(server.dehydrate())))).toBe(true);
  const observer = db.observe(BOOKS);
  const brought = observer.get();
  const seen: unknown[] = [];
  observer.subscribe(() => seen.push(observer.get()));
  await stage.settle();
  // It is what the leader has: nothing renders, and the server is not asked once more.
  expect([observer.get(), seen]).toEqual([brought, []]);
  expect(stage.ops('add-query')).toHaveLength(1);
  void leader.db.transact(leader.db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await stage.settle();
  expect(titles(observer.get())).toContain('Dune');
});
