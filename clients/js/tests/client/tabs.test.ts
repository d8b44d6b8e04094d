import { beforeAll, expect, test } from 'vitest';
import type { QueryState } from '../../src/store/answer.ts';
import { tabPlatform } from '../../src/web/locks.ts';
import { FORBIDDEN } from '../simulation/steps.ts';
import { BOOKS, titles } from '../support/disk-stage.ts';
import { entity } from '../support/stage.ts';
import { create, outcomeOf, states, TabStage, watch } from '../support/tab-stage.ts';

// The code of tabs is fetched at first use; here it is there, so that only the clock counts.
beforeAll(() => import('../../src/client/later.ts'));

test('[J160] tabs share one connection; each shows what it asked, live', async () => {
  const stage = new TabStage();
  const [one, other, third] = [await stage.tab(), await stage.tab(), await stage.tab()];
  const seen = [one, other, third].map(({ db }) => watch(db));
  await stage.settle();
  expect(stage.connections).toBe(1);
  expect(stage.ops('init')).toHaveLength(1);
  const outcome = outcomeOf(create(other.db, 1, 'Dune'));
  expect(titles(seen[1]!.at(-1)!)).toEqual(['Dune']);
  await stage.settle();
  for (const shown of seen) {
    expect(titles(shown.at(-1)!)).toEqual(['Dune']);
    expect(shown.at(-1)).toMatchObject({ source: 'server', isComplete: true });
  }
  expect(outcome).toEqual({ status: 'synced' });
  expect([one, other, third].map(({ db }) => db.connectionStatus)).toEqual(
    Array(3).fill('authenticated'),
  );
  // A follower gets the server's steps, not the whole.
  for (let n = 0; n < 10; n++)
    void one.db.transact(one.db.tx.books![entity(1)]!.update({ title: `${n}` }));
  await stage.settle();
  const frames = stage.browser.spoken.filter(({ text }) => text.includes('refresh-ok'));
  expect(frames.some(({ text }) => text.includes('\\"delta\\"'))).toBe(true);
});

test('[J160] `queryOnce` of a follower asks the server, and errors reach it', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  watch(leader.db);
  watch(follower.db);
  await stage.settle();
  const asked = stage.ops('add-query').length;
  const once = follower.db.queryOnce(BOOKS);
  await stage.clock.pass(5_000);
  expect(titles(await once)).toEqual([]);
  expect(stage.ops('add-query').length).toBeGreaterThan(asked);

  stage.server.refuse = { type: 'permission-denied', message: 'no' };
  const refused = expect(follower.db.queryOnce(BOOKS)).rejects.toMatchObject({
    code: 'permission-denied',
  });
  let failed: QueryState | undefined;
  follower.db.subscribeQuery({ tags: {} }, (state) => (failed = state));
  await stage.settle();
  await refused;
  expect(failed?.error?.code).toBe('permission-denied');
});

test('[J160] a session that cannot be opened is told in every tab', async () => {
  const stage = new TabStage();
  const refusal = { type: 'record-not-found', message: 'no', hint: { 'record-type': 'app' } };
  stage.server.refuseInit = refusal;
  const tabs = [await stage.tab(), await stage.tab()];
  const seen = tabs.map(({ db }) => watch(db));
  await stage.clock.pass(150_000);
  for (const shown of seen) expect(shown.at(-1)?.error?.code).toBe('record-not-found');
  stage.server.refuseInit = null;
  await stage.clock.pass(150_000);
  for (const shown of seen) expect(shown.at(-1)?.source).toBe('server');
});

test('[J161] the leader dies: another goes on at once, and sends what it left', async () => {
  const stage = new TabStage();
  const [leader, follower, third] = [await stage.tab(), await stage.tab(), await stage.tab()];
  const seen = [follower, third].map(({ db }) => watch(db));
  await stage.settle();
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(3_000);
  const outcomes = [leader, follower].map(({ db }, n) => outcomeOf(create(db, n + 1, `b${n}`)));
  await stage.clock.pass(200);
  expect(outcomes).toEqual([{ status: 'enqueued' }, { status: 'enqueued' }]);
  for (const { db } of [leader, follower, third]) expect(db.pending.count).toBe(2);
  leader.kill();
  stage.network.isUp = true;
  await stage.clock.pass(2_000);
  expect([follower, third].map(({ db }) => db.connectionStatus)).toEqual(
    Array(2).fill('authenticated'),
  );
  await stage.settle();
  expect(stage.open).toBe(1);
  expect(stage.server.applied.size).toBe(2);
  for (const shown of seen) {
    expect(titles(shown.at(-1)!)).toEqual(['b0', 'b1']);
    expect(shown.every(({ isLoading }) => !isLoading)).toBe(true);
  }
});

test('[J161] a new leader asks with what it holds, and is told no answer anew', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  watch(follower.db);
  await stage.settle();
  await stage.clock.pass(5_000);
  const asked = stage.ops('add-query').length;
  leader.kill();
  await stage.settle();
  expect(stage.ops('add-query').length).toBeGreaterThan(asked);
  for (const { held } of stage.ops('add-query').slice(asked)) expect(held).toBeDefined();
});

test('[J162] a write that the leader did not save yet goes to the next one, and once', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  const outcome = outcomeOf(create(follower.db, 1, 'Dune'));
  expect(states(follower)).toEqual(['saving']);
  leader.kill();
  await stage.settle();
  // It was kept while there was no connection.
  expect(outcome).toEqual({ status: 'enqueued' });
  expect(stage.server.applied.size).toBe(1);
  expect(states(follower)).toEqual([]);
  expect(stage.browser.stored.pending.size).toBe(0);
});

test('[J162] a refused write is told in its tab, and shown in all', async () => {
  const stage = new TabStage();
  const [leader, follower, third] = [await stage.tab(), await stage.tab(), await stage.tab()];
  await stage.settle();
  const outcome = outcomeOf(create(follower.db, 1, FORBIDDEN));
  await stage.settle();
  expect(outcome).toEqual({ code: 'validation-failed' });
  for (const tab of [leader, follower, third]) {
    expect(tab.db.pending.list()).toMatchObject([
      { state: 'rejected', error: { code: 'validation-failed' } },
    ]);
    expect(tab.db.pending.list()[0]!.error).toBeInstanceOf(Error);
  }
});

test('[J162] a refusal is told to no tab before it is on the disk', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  void create(leader.db, 1, FORBIDDEN).catch(() => {});
  follower.db.pending.subscribe(() => {
    if (states(follower)[0] !== 'rejected') return;
    const [text] = stage.browser.stored.pending.values();
    expect(text).toContain('"rejected"');
  });
  await stage.settle();
  expect(states(follower)).toEqual(['rejected']);
});

test('[J163] any tab decides on a refused write: retry, edit, drop', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  stage.server.refuseWrites = { type: 'permission-denied', message: 'no' };
  for (const [n, { db }] of [leader, follower, leader].entries())
    create(db, n + 1, `${n}`).catch(() => {});
  await stage.settle();
  expect(states(follower)).toEqual(['rejected', 'rejected', 'rejected']);
  stage.server.refuseWrites = null;
  const [first, second, third] = follower.db.pending.list();
  follower.db.pending.drop(first!.id);
  follower.db.pending.retry(second!.id);
  const id = follower.db.pending.edit(third!.id, follower.db.tx.books![entity(4)]!.create({}));
  await stage.settle();
  expect([...stage.server.applied.keys()]).toEqual([second!.id, id]);
  for (const tab of [leader, follower]) expect(states(tab)).toEqual([]);
});

test('[J164] a frozen leader is replaced 5 s after it was asked, and then follows', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  const seen = watch(follower.db);
  watch(leader.db);
  await stage.settle();
  leader.freeze(false);
  const outcome = outcomeOf(create(follower.db, 1, 'Dune'));
  await stage.clock.pass(4_900);
  expect(stage.server.applied.size).toBe(0);
  await stage.clock.pass(3_000);
  expect(outcome).toEqual({ status: 'enqueued' });
  expect(stage.server.applied.size).toBe(1);
  expect(titles(seen.at(-1)!)).toEqual(['Dune']);
  leader.thaw();
  await stage.settle();
  expect(stage.open).toBe(1);
  expect(leader.db.connectionStatus).toBe('authenticated');
  expect(outcomeOf(create(leader.db, 2, 'Emma'))).toEqual({});
  await stage.settle();
  expect(titles(seen.at(-1)!)).toEqual(['Dune', 'Emma']);
});

test('[J164] who wakes sends nothing that another was told is refused', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(3_000);
  create(leader.db, 1, 'Dune').catch(() => {});
  await stage.clock.pass(500);
  leader.freeze(false);
  await stage.clock.pass(60_000);
  stage.network.isUp = true;
  stage.server.refuseWrites = { type: 'permission-denied', message: 'no' };
  // It has to ask before it notices.
  create(follower.db, 2, 'Emma').catch(() => {});
  await stage.clock.pass(60_000);
  expect(states(follower)).toEqual(['rejected', 'rejected']);
  stage.server.refuseWrites = null;
  const sent = stage.ops('transact').length;
  leader.thaw();
  await stage.settle();
  expect(stage.ops('transact').length).toBe(sent);
  expect(stage.server.applied.size).toBe(0);
  expect(states(leader)).toEqual(['rejected', 'rejected']);
});

test('[J164] who wakes to an open session looks first whether it still leads', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  // It waits as one that may have been sent: nothing has to be saved before it is.
  create(leader.db, 1, 'Dune').catch(() => {});
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(3_000);
  stage.network.isUp = true;
  const inits = stage.ops('init').length;
  while (stage.ops('init').length === inits) await stage.clock.pass(1);
  // The answer to its `init` is the first thing that it learns when it wakes.
  leader.freeze(false);
  stage.server.refuseWrites = { type: 'permission-denied', message: 'no' };
  create(follower.db, 2, 'Emma').catch(() => {});
  await stage.clock.pass(60_000);
  expect(states(follower)).toEqual(['rejected', 'rejected']);
  stage.server.refuseWrites = null;
  const sent: unknown[] = [];
  leader.onSend = ({ op }) => sent.push(op);
  leader.thaw();
  await stage.settle();
  expect(sent).not.toContain('transact');
  expect(stage.server.applied.size).toBe(0);
});

test('[J163, J164] what was dropped meanwhile is not given anew by who wakes', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(3_000);
  const outcome = outcomeOf(create(leader.db, 1, 'Dune'));
  await stage.clock.pass(500);
  leader.freeze(false);
  create(follower.db, 2, 'Emma').catch(() => {});
  await stage.clock.pass(20_000);
  expect(states(follower)).toEqual(['queued', 'queued']);
  follower.db.pending.drop(follower.db.pending.list()[0]!.id);
  stage.network.isUp = true;
  await stage.clock.pass(60_000);
  leader.thaw();
  await stage.settle();
  expect(outcome).toEqual({ status: 'enqueued' });
  expect(stage.server.applied.size).toBe(1);
  for (const tab of [leader, follower]) expect(states(tab)).toEqual([]);
});

test('[J160] attrs that are new are known in every tab', async () => {
  const stage = new TabStage();
  const schema = undefined as never;
  const [, follower] = [await stage.tab({ schema }), await stage.tab({ schema })];
  const seen = watch(follower.db);
  await stage.settle();
  const elsewhere = stage.device({ schema });
  const chunk = elsewhere.tx.books![entity(1)]!.create({ title: 'Dune', mood: 'dry' });
  void elsewhere.transact(chunk);
  await stage.settle();
  expect(seen.at(-1)!.data?.books).toMatchObject([{ title: 'Dune', mood: 'dry' }]);
});

test('[J164] what who was replaced writes is not done; its write goes the new way', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  await stage.settle();
  leader.freeze(false);
  create(follower.db, 1, 'Dune').catch(() => {});
  await stage.clock.pass(20_000);
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(1_000);
  const rows = [...stage.browser.stored.pending.keys()];
  leader.thaw(() => void create(leader.db, 2, 'Emma').catch(() => {}));
  // Only the new leader's hand writes: the row comes once the write was given to it.
  await stage.clock.pass(3_000);
  expect(stage.browser.stored.pending.size).toBe(rows.length + 1);
  for (const tab of [leader, follower]) expect(states(tab)).toEqual(['queued']);
  stage.network.isUp = true;
  await stage.settle();
  await stage.settle();
  expect(stage.server.applied.size).toBe(2);
  expect(stage.browser.stored.pending.size).toBe(0);
});

test('[J165] a page that is about to be frozen lets go at once', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  watch(follower.db);
  await stage.settle();
  leader.freeze(true);
  await stage.clock.pass(200);
  // It has a connection; an answer may be on its way for up to 2 s.
  expect(['opened', 'authenticated']).toContain(follower.db.connectionStatus);
  expect(stage.open).toBe(1);
  await stage.clock.pass(2_500);
  expect(follower.db.connectionStatus).toBe('authenticated');
  expect(outcomeOf(create(follower.db, 1, 'Dune'))).toEqual({});
  await stage.clock.pass(2_500);
  expect(stage.server.applied.size).toBe(1);
  leader.thaw();
  await stage.settle();
  expect(leader.db.connectionStatus).toBe('authenticated');
  expect(stage.open).toBe(1);
});

test('[J168] rooms and streams of a follower are on a connection of its own', async () => {
  await import('../../src/rooms/rooms.ts');
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  const rooms = [leader, follower].map(({ db }, n) =>
    db.joinRoom('chat', 'r', { initialPresence: { n } }),
  );
  await stage.settle();
  expect(stage.open).toBe(2);
  const others = (n: number) =>
    Object.values(rooms[n]!.getPresence({})?.peers ?? {}).map((peer) => peer.n);
  expect([others(0), others(1)]).toEqual([[1], [0]]);
  // It stays where it is when the tab leads, and is the only one that the tab opens beside it.
  leader.kill();
  await stage.settle();
  expect(stage.open).toBe(2);
  expect(others(1)).toEqual([]);
  expect(stage.ops('join-room')).toHaveLength(2);
});

test('[J169] without locks, or with `tabs: false`, each tab connects by itself', async () => {
  const stage = new TabStage();
  const tabs = [await stage.tab({ tabs: false }), await stage.tab({ tabs: false })];
  await stage.settle();
  expect(stage.connections).toBe(2);
  const outcome = outcomeOf(create(tabs[1]!.db, 1, 'Dune'));
  await stage.settle();
  expect(outcome).toEqual({ status: 'synced' });
  expect(stage.browser.spoken).toEqual([]);
});

test('[J169] only pages have tabs, and only where there are locks and channels', () => {
  const BroadcastChannel = class {};
  const navigator = { locks: { request: async () => undefined } };
  const whole = { BroadcastChannel, navigator, document: {} };
  expect(tabPlatform(whole)).toBeDefined();
  for (const name of ['BroadcastChannel', 'navigator', 'document'] as const)
    expect(tabPlatform({ ...whole, [name]: undefined }), name).toBeUndefined();
  const locked = {
    get locks(): never {
      throw new Error('no origin');
    },
  };
  expect(tabPlatform({ ...whole, navigator: locked })).toBeUndefined();
});

test('[J170] a frozen tab is told no more after 1,000 messages, and catches up', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  const seen = watch(follower.db);
  await stage.settle();
  void create(leader.db, 1, '0');
  await stage.settle();
  follower.freeze(false);
  for (let n = 1; n <= 250; n++) {
    void leader.db.transact(leader.db.tx.books![entity(1)]!.update({ title: `${n}` }));
    await stage.clock.pass(100);
  }
  await stage.settle();
  const to = stage.browser.spoken.filter(({ text }) => text.includes('"queue"'));
  expect(to.length).toBeLessThan(1_100);
  follower.thaw();
  await stage.settle();
  expect(titles(seen.at(-1)!)).toEqual(['250']);
}, 60_000);

test('[J171] a closed tab is forgotten: nothing is asked for it any more', async () => {
  const stage = new TabStage();
  const [, follower] = [await stage.tab(), await stage.tab()];
  watch(follower.db);
  await stage.settle();
  const before = stage.ops('remove-query').filter(({ q }) => 'books' in (q as object)).length;
  follower.kill();
  await stage.settle();
  const after = stage.ops('remove-query').filter(({ q }) => 'books' in (q as object)).length;
  expect(after).toBe(before + 1);
});

test('[J172] data that was put back is asked for anew in every tab', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  const seen = watch(follower.db);
  await stage.settle();
  const kept = { data: stage.server.data, tx: stage.server.tx };
  void create(leader.db, 1, 'Dune');
  await stage.settle();
  expect(titles(seen.at(-1)!)).toEqual(['Dune']);
  Object.assign(stage.server, kept);
  stage.network.cutAll();
  await stage.settle();
  expect(titles(seen.at(-1)!)).toEqual([]);
});

test('[J79] a disk that answered while the page slept is not given up', async () => {
  const stage = new TabStage();
  const tab = await stage.tab();
  await stage.settle();
  const outcome = outcomeOf(create(tab.db, 1, 'Dune'));
  tab.freeze(false);
  await stage.clock.pass(30_000);
  tab.thaw();
  await stage.settle();
  expect(tab.db.storageStatus).toBe('ready');
  expect(outcome.status).toBeDefined();
  expect(stage.server.applied.size).toBe(1);
});
