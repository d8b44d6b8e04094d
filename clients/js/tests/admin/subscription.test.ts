import { expect, test } from 'vitest';
import { AdminDatabase, type Data } from '../../src/admin/database.ts';
import type { Payload } from '../../src/admin/payloads.ts';
import { HttpStage, Wire } from '../support/http-stage.ts';

const INIT = { op: 'sse-init', 'machine-id': 'm', 'session-id': 's', 'sse-token': 't' };

const first = (n: number) => ({ op: 'add-query-ok', result: { todos: [{ n }] } });

const news = (n: number) => ({
  op: 'refresh-ok',
  computations: [{ 'instaql-result': { todos: [{ n }] } }],
});

/** A live query whose connections the test holds, newest last. */
function watch() {
  const stage = new HttpStage();
  const wires: Wire[] = [];
  stage.answer = () => {
    const wire = new Wire();
    wires.push(wire);
    return wire;
  };
  const db = new AdminDatabase({ appId: 'app', adminToken: 't' }, stage.environment);
  const seen: Payload<Data>[] = [];
  const sub = db.subscribeQuery({ todos: {} }, (payload) => seen.push(payload));
  return { stage, db, wires, seen, sub };
}

const numbers = (seen: readonly Payload<Data>[]) =>
  seen.map((payload) => (payload.type === 'ok' ? payload.data.todos![0].n : payload.error.code));

test('[J114] each payload is the whole answer, with page, totals and session', async () => {
  const { stage, wires, seen, sub } = watch();
  expect(sub.readyState).toBe('connecting');
  expect(stage.last).toMatchObject({
    path: '/admin/subscribe-query',
    json: { query: { todos: {} }, 'inference?': false },
  });
  await stage.settle();
  expect([sub.readyState, sub.sessionInfo]).toEqual(['open', null]);
  wires[0]!.say(INIT);
  wires[0]!.say({
    ...first(1),
    'result-meta': {
      'page-info': {
        todos: {
          ...{ 'start-cursor': ['a'], 'end-cursor': ['b'] },
          ...{ 'has-next-page?': true, 'has-previous-page?': false },
        },
      },
      aggregate: { todos: { count: 9 } },
    },
  });
  wires[0]!.say(news(2));
  wires[0]!.say({ op: 'unheard-of' });
  wires[0]!.say({ op: 'refresh-ok', computations: [] });
  await stage.settle();
  const sessionInfo = { machineId: 'm', sessionId: 's' };
  expect(seen).toEqual([
    {
      type: 'ok',
      data: { todos: [{ n: 1 }] },
      pageInfo: {
        todos: { startCursor: ['a'], endCursor: ['b'], hasNextPage: true, hasPreviousPage: false },
      },
      aggregate: { todos: { count: 9 } },
      sessionInfo,
    },
    {
      type: 'ok',
      data: { todos: [{ n: 2 }] },
      pageInfo: undefined,
      aggregate: undefined,
      sessionInfo,
    },
  ]);
});

test('[J116] a lost connection is made anew, and told after 5 s, once', async () => {
  const { stage, wires, seen, sub } = watch();
  await stage.settle();
  wires[0]!.say(first(1));
  await stage.settle();
  wires[0]!.end();
  await stage.clock.pass(300);
  expect(wires).toHaveLength(2);
  wires[1]!.say(first(2));
  await stage.settle();
  expect(numbers(seen)).toEqual([1, 2]);

  const answered = stage.answer;
  stage.answer = () => ({ status: 503, json: { type: 'overloaded', message: 'm' } });
  wires[1]!.break();
  await stage.clock.pass(4_900);
  expect(numbers(seen)).toEqual([1, 2]);
  await stage.clock.pass(60_000);
  expect(numbers(seen)).toEqual([1, 2, 'overloaded']);
  expect(seen[2]).toMatchObject({ isClosed: false, readyState: 'connecting' });
  // Attempts are spread over up to 30 s each.
  expect(stage.sent.length).toBeGreaterThan(4);
  expect(stage.sent.length).toBeLessThan(30);
  stage.answer = answered;
  await stage.clock.pass(30_000);
  wires.at(-1)!.say(first(3));
  await stage.settle();
  expect(numbers(seen)).toEqual([1, 2, 'overloaded', 3]);
  expect(sub.readyState).toBe('open');
});

test('[J116] no page of a proxy, no 429, and no lack of network ends it', async () => {
  for (const answer of [
    { text: '<html>' },
    { status: 429, json: { type: 'rate-limited' } },
    { status: 502, text: 'x' },
    new TypeError('fetch failed'),
  ]) {
    const { stage, wires, sub } = watch();
    const answered = stage.answer;
    await stage.settle();
    stage.answer = () => answer;
    wires[0]!.break();
    await stage.clock.pass(10_000);
    expect(sub.readyState).toBe('connecting');
    stage.answer = answered;
    await stage.clock.pass(60_000);
    expect(sub.readyState).toBe('open');
    sub.close();
  }
});

test('[J116] a connection that is silent for a minute is given up', async () => {
  const { stage, wires, seen } = watch();
  await stage.settle();
  for (let minute = 0; minute < 5; minute++) {
    await stage.clock.pass(50_000);
    wires[0]!.send(': keep-alive\n\n');
  }
  await stage.settle();
  expect(wires).toHaveLength(1);
  await stage.clock.pass(61_000);
  expect(wires).toHaveLength(2);
  expect(stage.cancelled).toBe(1);
  // What still comes on the old one is not heard.
  wires[0]!.say(first(1));
  wires[1]!.say(first(2));
  await stage.settle();
  expect(numbers(seen)).toEqual([2]);
});

test('[J117] a refusal ends it; an error of the query does not', async () => {
  const { stage, wires, seen, sub } = watch();
  await stage.settle();
  wires[0]!.say({ op: 'error', status: 400, type: 'validation-failed', message: 'm' });
  await stage.settle();
  expect(numbers(seen)).toEqual(['validation-failed']);
  expect(sub.readyState).toBe('open');
  const loop = sub[Symbol.asyncIterator]();
  await loop.next();
  const refused = loop.next();
  stage.answer = () => ({ status: 400, json: { type: 'record-not-found', message: 'm' } });
  wires[0]!.end();
  await stage.clock.pass(120_000);
  expect(numbers(seen)).toEqual(['validation-failed', 'record-not-found']);
  expect(seen[1]).toMatchObject({ isClosed: true, readyState: 'closed' });
  expect(stage.sent).toHaveLength(2);
  expect((await refused).value).toBe(seen[1]);
  expect(await loop.next()).toEqual({ done: true, value: undefined });
});

test('[J115] a loop begins with the newest payload, and skips what was overtaken', async () => {
  const { stage, wires, sub } = watch();
  await stage.settle();
  wires[0]!.say(first(1));
  wires[0]!.say(news(2));
  await stage.settle();
  const loop = sub[Symbol.asyncIterator]();
  const other = sub[Symbol.asyncIterator]();
  expect(numbers([(await loop.next()).value!])).toEqual([2]);
  const waiting = [loop.next(), loop.next()];
  for (const n of [3, 4, 5, 6]) wires[0]!.say(news(n));
  wires[0]!.say({ op: 'error', type: 'timeout', message: 'm' });
  await stage.settle();
  const got = await Promise.all(waiting);
  expect(numbers(got.map(({ value }) => value!))).toEqual([3, 4]);
  expect(numbers([(await loop.next()).value!, (await loop.next()).value!])).toEqual([6, 'timeout']);
  expect(numbers([(await other.next()).value!])).toEqual([6]);
  // A function watches too, so leaving the loops does not close.
  await loop.return!();
  await other.return!();
  expect(sub.isClosed).toBe(false);
});

test('[J115] the last loop that is left closes what nobody else watches', async () => {
  const { stage, db, wires } = watch();
  const sub = db.subscribeQuery({ todos: {} });
  await stage.settle();
  const loops = [sub[Symbol.asyncIterator](), sub[Symbol.asyncIterator]()];
  await loops[0]!.return!();
  expect(sub.isClosed).toBe(false);
  wires[1]!.say(first(1));
  await stage.settle();
  const ended = loops[1]!;
  expect((await ended.next()).done).toBe(false);
  await ended.return!();
  expect(sub.isClosed).toBe(true);
  expect(await sub[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
});

test('[J115] close() ends everything: the connection, loops that wait, and attempts', async () => {
  const { stage, wires, seen, sub } = watch();
  await stage.settle();
  const waiting = sub[Symbol.asyncIterator]().next();
  sub.close();
  sub.close();
  expect(await waiting).toEqual({ done: true, value: undefined });
  expect(stage.cancelled).toBe(1);
  wires[0]!.say(first(1));
  await stage.clock.pass(120_000);
  expect(seen).toEqual([]);
  expect(stage.sent).toHaveLength(1);
});

test('[J115] a function that closes hears nothing more, not even of the same piece', async () => {
  const { stage, db, wires } = watch();
  const heard: unknown[] = [];
  const sub = db.subscribeQuery({ todos: {} }, (payload) => {
    heard.push(...numbers([payload]));
    sub.close();
  });
  await stage.settle();
  wires[1]!.send([first(1), news(2)].map((one) => `data: ${JSON.stringify(one)}\n\n`).join(''));
  await stage.clock.pass(120_000);
  expect(heard).toEqual([1]);
  expect(sub.isClosed).toBe(true);
});

test('[J114] a function that throws is reported, and hears the next payload', async () => {
  const { stage, db, wires } = watch();
  const heard: number[] = [];
  db.subscribeQuery({ todos: {} }, (payload) => {
    heard.push(...numbers([payload]));
    throw new Error('mine');
  });
  await stage.settle();
  wires[1]!.say(first(1));
  wires[1]!.say(news(2));
  await stage.settle();
  expect(heard).toEqual([1, 2]);
  expect(stage.reported).toHaveLength(2);
  expect(wires).toHaveLength(2);
});
