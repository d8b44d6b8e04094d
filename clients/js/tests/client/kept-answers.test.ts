import { expect, test } from 'vitest';
import { Stored } from '../simulation/device.ts';
import { DAY_MS, DiskStage, offline, titles, watch } from '../support/disk-stage.ts';
import { entity } from '../support/stage.ts';

test('[J74] answers are shown at the next start, and asked for with their version', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored);
  const before = watch(db, { books: {} }).observer;
  await stage.settle();
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await stage.settle();
  page.isDead = true;

  offline(stage);
  const second = stage.page(stored);
  const { observer } = watch(second.db, { books: {} });
  await stage.clock.pass(200);
  expect(observer.get()).toMatchObject({ source: 'cache', isLoading: false });
  expect(observer.get().data).toEqual(before.get().data);
  // A query that is first watched later is read then.
  const late = watch(second.db, { books: {}, $$ruleParams: {} } as object).observer;
  await stage.clock.pass(200);
  expect(late.get().isLoading).toBe(true);
  stage.network.isUp = true;
  const { length } = stage.ops('add-query');
  await stage.clock.pass(60_000);
  expect(stage.ops('add-query').slice(length)[0]).toHaveProperty('held');
  expect(stage.ops('init').at(-1)).toMatchObject({ trice: { tx: stage.server.tx } });
  expect(observer.get()).toMatchObject({ source: 'server' });
  expect(observer.get().data).toEqual(stage.server.rows({ books: {} }));
});

test('[J74] a query watched after the start is read before it is asked', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored);
  watch(db, { people: {} });
  await stage.settle();
  page.isDead = true;
  const second = stage.page(stored);
  await stage.settle();
  const once = second.db.queryOnce({ people: {} });
  const { seen } = watch(second.db, { people: {} });
  await stage.settle();
  expect(seen[0]).toMatchObject({ source: 'cache' });
  expect((await once).source).toBe('server');
  for (const message of stage.ops('add-query').slice(1)) expect(message).toHaveProperty('held');
});

test('[J75] an acknowledged write stays shown over a reload until an answer has it', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored);
  watch(db);
  await stage.settle();
  // The page dies after the acknowledgement, before the answer is written.
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  while (!stage.server.applied.size) await stage.clock.pass(10);
  await stage.clock.pass(200);
  page.isDead = true;
  offline(stage);
  const second = stage.page(stored);
  const { observer } = watch(second.db);
  await stage.clock.pass(500);
  expect(titles(observer.get())).toEqual(['Dune']);
});

test('[J75] the row of a write goes after the answer that contains it', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { db } = stage.page(stored);
  watch(db);
  await stage.settle();
  const [tables] = stored.disks.databases.values();
  for (let turn = 0; turn < 20; turn++) {
    const title = `title ${turn}`;
    void db.transact(db.tx.books![entity(1)]!.update({ title }));
    await stage.clock.pass(5);
    expect(stored.pending.size).toBe(1);
    while (stored.pending.size > 0) await stage.clock.pass(1);
    expect([...tables!.get('rows')!.values()].join()).toContain(title);
  }
});

test('[J75] where a large answer keeps changing, rows of writes go too', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { db } = stage.page(stored);
  const other = stage.device();
  watch(db, { books: {} });
  // So large that it is written every 15 s at most.
  for (const number of [2, 4])
    void other.transact(other.tx.books![entity(number)]!.create({ title: 'x'.repeat(750_000) }));
  await stage.settle();
  for (let turn = 0; turn < 16; turn++) {
    void other.transact(other.tx.books![entity(3)]!.update({ title: `${turn}` }));
    await stage.clock.pass(900);
    if (turn === 1) void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  }
  expect(db.pending.list()).toEqual([]);
  expect(stored.pending.size).toBe(0);
});

test('[J75] an acknowledged write of an earlier start stays until an answer has it', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored);
  watch(db);
  // A delete may change any answer, and nobody tells of it where it did not.
  watch(db, { tags: {} });
  await stage.settle();
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await stage.settle();
  void db.transact(db.tx.books![entity(1)]!.delete());
  await stage.clock.pass(5_000);
  expect(db.pending.list()).toMatchObject([{ state: 'acked' }]);
  page.isDead = true;
  stage.clock.now += DAY_MS;
  const second = stage.page(stored);
  let waiting: unknown;
  second.db.onConnectionStatusChange((status) => {
    if (status === 'authenticated') waiting = second.db.pending.list().map(({ state }) => state);
  });
  watch(second.db, { tags: {} });
  await stage.settle();
  expect(waiting).toEqual(['acked']);
  expect(stage.ops('transact')).toHaveLength(2);
  expect(second.db.pending.list()).toEqual([]);
});

test('[J76] answers of before the data was put back are not taken over', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  stage.server.tx = 100;
  const first = stage.page(stored);
  watch(first.db, { people: {} });
  watch(first.db, { tags: {} });
  await stage.settle();
  first.page.isDead = true;
  stage.server.tx = 5;
  const second = stage.page(stored);
  watch(second.db, { tags: {} });
  await stage.settle();
  second.page.isDead = true;
  const third = stage.page(stored);
  const [people, tags] = [watch(third.db, { people: {} }), watch(third.db, { tags: {} })];
  await stage.settle();
  expect(people.seen.map(({ source }) => source)).not.toContain('cache');
  expect(tags.seen[0]).toMatchObject({ source: 'cache' });
});

test.each(['answers', 'rows', 'meta'] as const)(
  '[J76] %s that are not what was written are asked for anew, silently',
  async (table) => {
    const stage = new DiskStage();
    const stored = new Stored();
    const { page, db } = stage.page(stored);
    watch(db);
    await stage.settle();
    void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
    await stage.settle();
    page.isDead = true;
    const [tables] = stored.disks.databases.values();
    const rows = tables!.get(table)!;
    expect(rows.size).toBeGreaterThan(0);
    for (const [key, text] of rows) rows.set(key, text.replaceAll('0', '1'));
    const { length } = stage.ops('add-query');
    const second = stage.page(stored);
    const { seen, observer } = watch(second.db);
    await stage.settle();
    expect(seen.map(({ source }) => source)).not.toContain('cache');
    expect(stage.ops('add-query')[length]).not.toHaveProperty('held');
    expect(titles(observer.get())).toEqual(['Dune']);
    expect(second.db.storageStatus).toBe('ready');
  },
);

test('[J76] a piece that is missing is noticed', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored);
  watch(db, { people: {}, books: {} });
  await stage.settle();
  page.isDead = true;
  const [tables] = stored.disks.databases.values();
  expect(tables!.get('rows')!.size).toBeGreaterThan(0);
  tables!.get('rows')!.clear();
  const second = stage.page(stored);
  const { seen } = watch(second.db, { people: {}, books: {} });
  await stage.settle();
  expect(seen.map(({ source }) => source)).not.toContain('cache');
});

const USER = { id: entity(71), refresh_token: entity(72) };

test('[J80] each user has a database; signing out deletes it once writes left', async () => {
  const stage = new DiskStage();
  stage.answer = () => ({ status: 200, body: { user: USER } });
  const stored = new Stored();
  const { db } = stage.page(stored);
  watch(db);
  await stage.settle();
  const signedIn = db.auth.signInAsGuest();
  await stage.settle();
  await signedIn;
  const names = () => [...stored.disks.databases.keys()];
  expect(names()).toEqual(['tricedb:test/app:anon:1', `tricedb:test/app:${USER.id}:1`]);
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  const out = db.auth.signOut();
  await stage.settle();
  await expect(out).resolves.toEqual({ dropped: 0 });
  expect(stage.server.applied.size).toBe(1);
  expect(names()).toEqual(['tricedb:test/app:anon:1']);
  expect(stored.pending.size).toBe(0);
});

test('[J80] a write waits for its user when somebody else signs in', async () => {
  const stage = new DiskStage();
  stage.answer = () => ({ status: 200, body: { user: USER } });
  const stored = new Stored();
  offline(stage);
  const { db } = stage.page(stored, { delayMs: () => 100 });
  await stage.clock.pass(1_000);
  let outcome: unknown;
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' })).then((result) => {
    outcome = result;
    expect(stored.pending.size).toBe(1);
  });
  void db.auth.signInAsGuest();
  await stage.clock.pass(5_000);
  expect(outcome).toMatchObject({ status: 'enqueued' });
  expect(db.pending.list()).toEqual([]);
  stage.network.isUp = true;
  await stage.clock.pass(60_000);
  expect(stage.server.applied.size).toBe(0);
  const out = db.auth.signOut();
  await stage.clock.pass(60_000);
  await out;
  expect(stage.server.applied.size).toBe(1);
});

test('[J81] a session that the server ended keeps writes for 30 days, no answers', async () => {
  const stage = new DiskStage();
  stage.answer = () => ({ status: 200, body: { user: USER } });
  const stored = new Stored();
  const refuse = { type: 'record-not-found', message: 'no', hint: { 'record-type': 'app-user' } };
  for (const days of [29, 31]) {
    const { page, db } = stage.page(stored);
    watch(db);
    await stage.settle();
    const signedIn = db.auth.signInAsGuest();
    await stage.settle();
    await signedIn;
    offline(stage);
    await stage.clock.pass(100);
    void db.transact(db.tx.books![entity(1)]!.update({ title: String(days) }));
    await stage.clock.pass(1_000);
    stage.server.refuseInit = refuse;
    stage.network.isUp = true;
    while (db.authState.user) await stage.clock.pass(10);
    stage.server.refuseInit = null;
    await stage.clock.pass(5_000);
    const tables = stored.disks.databases.get(`tricedb:test/app:${USER.id}:1`)!;
    expect(tables.get('answers')!.size).toBe(0);
    expect(tables.get('rows')!.size).toBe(0);
    expect(stored.pending.size).toBe(1);
    page.isDead = true;

    stage.clock.now += days * DAY_MS;
    const { page: later, db: again } = stage.page(stored);
    await stage.settle();
    expect(stored.pending.size).toBe(days < 30 ? 1 : 0);
    const back = again.auth.signInAsGuest();
    await stage.settle();
    await back;
    expect(stage.server.applied.size).toBe(1);
    const out = again.auth.signOut();
    await stage.settle();
    await out;
    later.isDead = true;
  }
});

test('[J82] what waits is written when the page is hidden', async () => {
  const stage = new DiskStage();
  const stored = new Stored();
  const { page, db } = stage.page(stored);
  const { observer } = watch(db);
  while (observer.get().isLoading) await stage.clock.pass(1);
  const tables = () => stored.disks.databases.get('tricedb:test/app:anon:1')!;
  expect(tables().get('answers')!.size).toBe(0);
  page.hide();
  await stage.clock.pass(20);
  expect(tables().get('answers')!.size).toBe(1);
});
