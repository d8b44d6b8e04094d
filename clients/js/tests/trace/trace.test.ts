import { expect, test, vi } from 'vitest';
import { partsOf } from '../../src/devtool/parts.ts';
import type { TraceEvent, TraceOptions } from '../../src/index.ts';
import { EVENTS_MAX, Recorder } from '../../src/trace/recorder.ts';
import type { Trace } from '../../src/trace/trace.ts';
import { MemoryDisks } from '../../src/persistence/memory.ts';
import { entity, Stage } from '../support/stage.ts';

const BOOKS = { books: {} };

/** A client of which everything is told, once the code of that is there. */
async function traced(stage: Stage, opts?: TraceOptions) {
  const db = stage.device();
  const told: TraceEvent[] = [];
  const stop = db.trace((event) => told.push(event), opts);
  await vi.dynamicImportSettled();
  return { db, told, stop };
}

/** Events of a type. */
function of<T extends TraceEvent['type']>(told: readonly TraceEvent[], type: T) {
  return told.filter((event) => event.type === type) as Extract<TraceEvent, { type: T }>[];
}

test('[J235] what happens in a client is told, in order', async () => {
  const stage = new Stage();
  const { db, told } = await traced(stage);
  db.subscribeQuery(BOOKS, () => {});
  await stage.settle();
  const chunk = db.tx.books![entity(1)]!.create({ title: 'Dune' });
  const written = db.transact(chunk, { label: 'add' });
  await stage.settle();
  const { eventId } = await written;

  const connection = of(told, 'connection').map(({ state }) => state);
  expect(connection).toEqual(['opened', 'authenticated']);
  const ops = of(told, 'frame').map(({ direction, op }) => `${direction} ${op}`);
  expect(ops.slice(0, 4)).toEqual(['out init', 'in init-ok', 'out add-query', 'in add-query-ok']);
  expect(ops).toContain('in transact-ok');
  expect(of(told, 'land').map(({ kind }) => kind)).toEqual(['whole', 'delta']);
  const states = of(told, 'write').filter(({ id }) => id === eventId);
  expect(states.map(({ state }) => state)).toEqual(['queued', 'sent', 'acked', 'gone']);
  expect(states[0]).toMatchObject({ label: 'add', operations: 1, error: null });

  const refreshes = of(told, 'refresh');
  expect(refreshes.map(({ because }) => because).slice(0, 3)).toEqual([
    'opened',
    'schema',
    'server',
  ]);
  const optimistic = refreshes.find(({ because }) => because === 'write')!;
  expect(optimistic).toMatchObject({ hash: JSON.stringify(BOOKS), candidates: 1, isTold: true });
  expect(optimistic.rows).toBe(refreshes.find(({ because }) => because === 'server')!.rows + 1);
  expect(told.map(({ seq }) => seq)).toEqual(told.map((_, place) => place + 1));
  expect(told.every(({ at }, place) => at >= (told[place - 1]?.at ?? 0))).toBe(true);
  expect(told.every((event) => Object.isFrozen(event))).toBe(true);
});

test('[J235] a refusal, a lost connection and news that do not fit are told', async () => {
  const stage = new Stage();
  const { db, told } = await traced(stage);
  db.subscribeQuery(BOOKS, () => {});
  await stage.settle();
  const refused = db.transact(db.tx.books![entity(1)]!.create({ title: 'forbidden' }));
  await expect(Promise.all([refused, stage.settle()])).rejects.toThrow();
  expect(of(told, 'write').at(-1)).toMatchObject({
    state: 'rejected',
    error: { code: 'validation-failed' },
  });
  const { store } = partsOf(db);
  store.land({ hash: JSON.stringify(BOOKS) }, { tx: 9, from: 'another', version: 'v' });
  expect(of(told, 'land').at(-1)).toMatchObject({ kind: 'mismatch', tx: 9 });
  stage.network.cutAll();
  await stage.settle();
  const lost = of(told, 'connection').find(({ state }) => state === 'lost')!;
  expect(lost.retryMs).toBeGreaterThanOrEqual(0);
  expect(lost.code).toBeTypeOf('number');
  const states = of(told, 'connection').map(({ state }) => state);
  expect(states.slice(states.indexOf('lost'))).toEqual([
    ...['lost', 'closed', 'attempt', 'opened', 'authenticated'],
  ]);
});

test('[J235] batches of the disk are told with their size', async () => {
  const stage = new Stage();
  const db = stage.device({}, new Map(), new MemoryDisks());
  const told: TraceEvent[] = [];
  db.trace((event) => told.push(event));
  await vi.dynamicImportSettled();
  db.subscribeQuery(BOOKS, () => {});
  await stage.settle();
  const batches = of(told, 'store');
  expect(batches.length).toBeGreaterThan(0);
  expect(batches.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThan(500);
  expect(batches.every(({ failure }) => failure === null)).toBe(true);
});

test('[J236] without a listener nothing is made and nothing measured', async () => {
  const stage = new Stage();
  const db = stage.device();
  const { trace, environment } = partsOf(db);
  let measured = 0;
  let said = 0;
  Object.assign(environment, { elapsedMs: () => (measured += 1) });
  const work = async () => {
    const stop = db.subscribeQuery(BOOKS, () => {});
    await stage.settle();
    void db.transact(db.tx.books![entity(1)]!.update({ title: 'Dune' }));
    await stage.settle();
    stop();
    stage.network.cutAll();
    await stage.settle();
  };
  await work();
  expect(trace.say).toBeUndefined();
  expect(measured).toBe(0);

  const stop = db.trace(() => {
    said += 1;
  });
  await vi.dynamicImportSettled();
  await work();
  expect(said).toBeGreaterThan(20);
  expect(measured).toBeGreaterThan(5);
  const [saidBefore, measuredBefore] = [said, measured];
  stop();
  expect(trace.say).toBeUndefined();
  await work();
  expect([said, measured]).toEqual([saidBefore, measuredBefore]);
});

test('[J236] whoever comes later is told the last 2,000 events first', () => {
  const stage = new Stage();
  const { environment } = partsOf(stage.device());
  const trace: Trace = {};
  const recorder = new Recorder(environment, trace, () => []);
  const first: TraceEvent[] = [];
  const stop = recorder.listen((event) => first.push(event));
  const count = EVENTS_MAX + 70;
  for (let place = 0; place < count; place++) trace.say!('store', [], undefined, null);
  const second: TraceEvent[] = [];
  const stopSecond = recorder.listen((event) => second.push(event));
  expect(second).toEqual(first.slice(-EVENTS_MAX));
  trace.say!('store', [], undefined, 'full');
  expect(second.at(-1)).toMatchObject({ seq: count + 1, failure: 'full' });

  stop();
  stopSecond();
  const third: TraceEvent[] = [];
  recorder.listen((event) => third.push(event));
  expect(third).toEqual([]);
  trace.say!('store', [], undefined, null);
  trace.say!('store', [], undefined, null);
  const fourth: TraceEvent[] = [];
  recorder.listen((event) => fourth.push(event));
  expect(fourth.map(({ seq }) => seq)).toEqual([count + 2, count + 3]);
});

test('[J235] whoever ends it is told no more: at once, and before its code is there', async () => {
  const stage = new Stage();
  const db = stage.device();
  let calls = 0;
  db.trace(() => (calls += 1))();
  await vi.dynamicImportSettled();
  expect(partsOf(db).trace.say).toBeUndefined();
  const stop = db.trace(() => {
    calls += 1;
    stop();
  });
  await vi.dynamicImportSettled();
  await stage.settle();
  expect(calls).toBe(1);
});

test('[J238] a listener that throws is called no more, and the client goes on', async () => {
  const stage = new Stage();
  const db = stage.device();
  const told: TraceEvent[] = [];
  let calls = 0;
  db.trace(() => {
    calls += 1;
    throw new Error('of the listener');
  });
  db.trace((event) => told.push(event));
  await vi.dynamicImportSettled();
  db.subscribeQuery(BOOKS, () => {});
  await expect(stage.settle()).rejects.toThrow('of the listener');
  await stage.settle();
  expect(db.connectionStatus).toBe('authenticated');
  expect(calls).toBe(1);
  expect(told.length).toBeGreaterThan(5);
});

test('[J237] no event has a token; without values none has those either', async () => {
  const stage = new Stage();
  const token = 'b1946ac9-token';
  stage.answer = () => ({
    status: 200,
    body: { user: { id: entity(9), email: 'ann@example.com', refresh_token: token } },
  });
  for (const values of [true, false]) {
    const { db, told } = await traced(stage, { values });
    await db.auth.signInWithToken(token);
    db.subscribeQuery({ books: { $: { where: { title: 'Dune' } } } }, () => {});
    await stage.settle();
    void db.transact(db.tx.books![entity(1)]!.update({ title: 'Dune' }), { label: 'Dune' });
    void db.transact(db.tx.books![entity(1)]!.update({ title: 'forbidden' })).catch(() => {});
    await stage.settle();
    expect(stage.sent.some((message) => message['refresh-token'] === token)).toBe(true);
    const text = JSON.stringify(told);
    expect(text).toContain('refresh-token');
    expect(text).not.toContain(token);
    expect(text.includes('Dune')).toBe(values);
    expect(text.includes('forbidden')).toBe(values);
    db.shutdown();
  }
});
