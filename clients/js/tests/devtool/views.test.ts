import { expect, test, vi } from 'vitest';
import { partsOf } from '../../src/devtool/parts.ts';
import { EVENTS_MAX, Model, QUERIES_MAX } from '../../src/devtool/model.ts';
import { ROWS_MAX } from '../../src/devtool/sheet.ts';
import { reasonOf, refusedCount, type ViewName, VIEWS } from '../../src/devtool/views.ts';
import { TriceError } from '../../src/errors.ts';
import type { TraceEvent } from '../../src/index.ts';
import { MemoryDisks } from '../../src/persistence/memory.ts';
import { api } from '../simulation/functions.ts';
import { entity, Stage } from '../support/stage.ts';

const BOOKS = { books: { $: { where: { title: { $like: '%' } } } } };

/** A client, and what the panel would show of it. */
async function watched() {
  const stage = new Stage();
  const db = stage.device({}, new Map(), new MemoryDisks());
  const model = new Model();
  db.trace((event) => model.take(event));
  await vi.dynamicImportSettled();
  const parts = partsOf(db);
  const sheet = (view: ViewName, filter = '') => VIEWS[view](parts, model, filter);
  return { stage, db, model, parts, sheet };
}

test('[J239] open queries say their rows, their size, and what woke them', async () => {
  const { stage, db, sheet } = await watched();
  const stop = db.subscribeQuery(BOOKS, () => {});
  db.subscribeQuery({ tags: {} }, () => {});
  expect(sheet('Queries').rows[0]).toMatchObject({ tone: 'busy' });
  await stage.settle();
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  const { note, rows } = sheet('Queries');
  expect(note).toBe('2 open queries');
  const [books] = rows;
  expect(books!.title).toBe('{books: {$: {where: {title: {$like: "%"}}}}}');
  const count = stage.server.rows(BOOKS) as { books: unknown[] };
  expect(books!.facts.slice(0, 3)).toEqual([
    `${count.books.length + 1} rows`,
    expect.stringMatching(/^~\d/),
    'woken by write',
  ]);
  expect(books!.body!()).toMatch(/looked at: .*server 1.*write 1/);
  expect(books!.body!()).toContain('last time: 1 of its entities');
  expect(sheet('Queries', 'TAGS').rows.map(({ title }) => title)).toEqual(['{tags: {}}']);
  stop();
  await stage.settle();
  expect(sheet('Queries').note).toBe('1 open query');
});

test('[J239] a query that failed says why', async () => {
  const { stage, db, parts, sheet } = await watched();
  db.subscribeQuery(BOOKS, () => {});
  await stage.settle();
  parts.store.fail(
    JSON.stringify(BOOKS),
    new TriceError({
      code: 'permission-evaluation-failed',
      message: 'Could not evaluate',
      hint: { rule: ['books', 'view'] },
    }),
  );
  parts.store.flush();
  expect(sheet('Queries').rows[0]).toMatchObject({
    tone: 'bad',
    reason: 'Refused by the rule books.view (permission-evaluation-failed). Could not evaluate',
  });
});

test('[J240] a call that waits says its function and arguments', async () => {
  const { stage, db, sheet } = await watched();
  stage.server.functions.answers.set('edit.put', null);
  const book = { id: entity(1), title: 'Dune' };
  void db.call(api.put, book, {
    optimistic: (tx, { id, title }) => [tx.books![id]!.update({ title })],
  });
  await stage.settle();
  const [row] = sheet('Writes').rows;
  expect(row).toMatchObject({ title: 'call edit.put', kind: 'sent' });
  const body = row!.body!();
  expect(body).toContain('"edit.put": {');
  expect(body).toMatch(/expected:\n\[\s+\[\s+"update"/);
  db.shutdown();
});

test('[J240] pending writes say why they were refused, and are tried again', async () => {
  const { stage, db, parts, sheet } = await watched();
  await stage.settle();
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(100);
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Emma' }), { label: 'add' });
  await stage.clock.pass(100);
  const [waiting] = sheet('Writes').rows;
  expect(waiting).toMatchObject({ kind: 'queued', title: 'add: create books e0000000' });
  expect(waiting!.actions!.map(({ label }) => label)).toEqual(['Drop']);
  db.transact(db.tx.books![entity(2)]!.create({ title: 'forbidden' })).catch(() => {});
  stage.network.isUp = true;
  await stage.clock.pass(120_000);

  const { note, rows } = sheet('Writes');
  expect(note).toBe('1 pending write');
  expect(rows[0]).toMatchObject({ kind: 'rejected', tone: 'bad' });
  expect(rows[0]!.reason).toMatch(/^validation-failed: /);
  expect(rows[0]!.body!()).toContain('"title": "forbidden"');
  expect(refusedCount(parts)).toBe(1);
  const sentBefore = stage.ops('transact').length;
  rows[0]!.actions!.find(({ label }) => label === 'Retry')!.run();
  await stage.settle();
  expect(stage.ops('transact').length).toBe(sentBefore + 1);
  sheet('Writes')
    .rows[0]!.actions!.find(({ label }) => label === 'Drop')!
    .run();
  expect(sheet('Writes').rows).toEqual([]);
  expect(refusedCount(parts)).toBe(0);
});

test('[J240] the rule that refused is named', () => {
  const message = 'Permission denied: not perms-pass? (`todos.create` or `todos.update` …)';
  const denied = (code: string) => reasonOf(new TriceError({ code, message }));
  expect(denied('permission-denied')).toBe(
    `Refused by the rule todos.create or todos.update (permission-denied). ${message}`,
  );
  expect(denied('timeout')).toBe(`timeout: ${message}`);
});

test('[J241] the wire shows frames both ways, and finds texts in them', async () => {
  const { stage, db, sheet } = await watched();
  db.subscribeQuery(BOOKS, () => {});
  await stage.settle();
  void db.transact(db.tx.books![entity(1)]!.create({ title: 'Middlemarch' }));
  await stage.settle();
  const { note, rows } = sheet('Wire');
  expect(note).toMatch(/^In \d+ \([\d.]+ k?B\), out \d+/);
  expect(rows.at(-1)).toMatchObject({ kind: '↑ out', title: 'init' });
  const found = sheet('Wire', 'middlemarch').rows;
  expect(found.map(({ kind, title }) => `${kind} ${title}`)).toContain('↑ out transact');
  expect(found.length).toBeLessThan(rows.length);
  expect(found[0]!.body!()).toContain('"Middlemarch"');
});

test('[J242] what is known is counted by namespace, and what the disk holds of it', async () => {
  const { stage, db, sheet } = await watched();
  db.subscribeQuery(BOOKS, () => {});
  db.subscribeQuery({ books: {}, people: {} }, () => {});
  for (const number of [1, 2])
    void db.transact(db.tx.books![entity(number)]!.create({ title: `Book ${number}` }));
  await stage.settle();
  const { note, rows } = sheet('Cache');
  const { books, people } = stage.server.rows({ books: {}, people: {} }) as Record<
    string,
    unknown[]
  >;
  expect(note).toBe(`${books!.length + people!.length} entities known here`);
  expect(rows.map(({ title }) => title)).toEqual(['Disk: ready', 'books', 'people']);
  expect(rows[0]!.facts[0]).toBe('2 answers');
  expect(rows[0]!.facts[1]).toMatch(/kB$/);
  expect(rows[1]!.facts).toEqual([`${books!.length} entities`, 'in 2 answers']);
});

test('[J243] the connection says how it is and what happened to it', async () => {
  const { stage, db, sheet } = await watched();
  db.subscribeQuery(BOOKS, () => {});
  await stage.settle();
  const fact = (title: string) =>
    sheet('Connection').rows.find((row) => row.title === title)!.facts[0]!;
  expect(fact('Status')).toBe('authenticated');
  expect(fact('Connections lost')).toBe('0');
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(3_000);
  expect(fact('Status')).toBe('closed');
  expect(Number(fact('Connections lost'))).toBeGreaterThan(0);
  expect(fact('Lost last')).toMatch(/code \d+, tried again after/);
  expect(fact('Open since')).toContain('not open');
  const times = sheet('Timeline', 'lost').rows;
  expect(times[0]).toMatchObject({ kind: 'connection', tone: 'bad' });
});

test('[J244] however many events come, the panel keeps 2,000 and shows 200', async () => {
  const { db, model, sheet } = await watched();
  const frame = (seq: number): TraceEvent => ({
    ...{ seq, at: seq, type: 'frame', direction: 'in', op: `op-${seq}`, length: 10, text: '{}' },
  });
  const refresh = (seq: number): TraceEvent => ({
    ...{ seq, at: seq, type: 'refresh', hash: `${seq}`, because: 'server', candidates: null },
    ...{ rows: 1, isTold: true, ms: 1 },
  });
  for (let seq = 1; seq <= 5_000; seq++) model.take(frame(seq));
  expect([...model.newest()].map(({ seq }) => seq)).toEqual(
    Array.from({ length: EVENTS_MAX }, (_, age) => 5_000 - age),
  );
  const { note, rows } = sheet('Timeline');
  expect(note).toBe('2,000 events; the newest 200');
  expect(rows.length).toBe(ROWS_MAX);
  expect(rows[0]!.title).toBe('in op-5000');
  expect(sheet('Wire').note).toBe('In 5,000 (50.0 kB), out 0 (0 B); the newest 200');
  for (let seq = 5_001; seq <= 5_002 + QUERIES_MAX; seq++) model.take(refresh(seq));
  expect(model.activity('5002')).toBeUndefined();
  expect(model.activity('5003')).toBeDefined();
  model.clear();
  expect(sheet('Timeline').rows).toEqual([]);
  db.shutdown();
});
