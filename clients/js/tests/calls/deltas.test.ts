/** Live calls that are told what changed in the place of values. */
import { expect, test } from 'vitest';
import type { CallState } from '../../src/calls/refs.ts';
import { changed, type CallDelta } from '../../src/calls/delta.ts';
import type { Database } from '../../src/client/database.ts';
import { api, type Book } from '../simulation/functions.ts';
import { Random } from '../support/random.ts';
import { entity, Stage } from '../support/stage.ts';

const ALL = { of: '' };

interface Device {
  readonly stage: Stage;
  readonly db: Database;
  readonly seen: CallState<Book[]>[];
  write(number: number, title: string): Promise<void>;
}

/** A client that watches books, and another one that writes them. */
async function watching(): Promise<Device> {
  const stage = new Stage();
  const db = stage.device();
  const other = stage.device();
  await stage.settle();
  const seen: CallState<Book[]>[] = [];
  const write = async (number: number, title: string) => {
    void other.call(api.put, { id: entity(number), title });
    await stage.settle();
  };
  await write(1, 'one');
  await write(2, 'two');
  await write(3, 'three');
  db.subscribeCall(api.list, ALL, (state) => seen.push(state));
  await stage.settle();
  return { stage, db, seen, write };
}

const rowsOf = ({ seen }: Device) => seen.at(-1)!.data!;

test('[J340] a delta gives the value that it leads to, and keeps every other row', () => {
  const row = (id: string, n = 0) => ({ id, n });
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((id) => row(id)) as [Row, Row, Row, Row];
  const cases: [unknown, CallDelta, unknown][] = [
    [[a, b, c], { lists: { '': { gone: ['b'] } } }, [a, c]],
    [[a, b, c], { lists: { '': { put: [row('b', 1)] } } }, [a, row('b', 1), c]],
    [[a, b, c], { lists: { '': { put: [d], order: [[0, 'd']] } } }, [d, a, b, c]],
    [
      [a, b, c, d],
      {
        lists: {
          '': {
            order: [
              [1, 'd'],
              [3, 'b'],
            ],
          },
        },
      },
      [a, d, c, b],
    ],
    [
      [],
      {
        lists: {
          '': {
            put: [a, b],
            order: [
              [0, 'a'],
              [1, 'b'],
            ],
          },
        },
      },
      [a, b],
    ],
    [
      { of: { items: [a] }, n: 1 },
      { lists: { 'of.items': { gone: ['a'] } } },
      { of: { items: [] }, n: 1 },
    ],
    [
      { items: [a, b], more: [c], n: 1 },
      { rest: { items: [], more: [], n: 2 }, lists: { items: {}, more: { gone: ['c'] } } },
      { items: [a, b], more: [], n: 2 },
    ],
    [{ items: [a], n: 1 }, { rest: { items: [d], n: 1 } }, { items: [d], n: 1 }],
    [{ n: 1 }, { rest: null }, null],
    [null, {}, null],
  ];
  for (const [before, delta, after] of cases) {
    const kept = JSON.stringify(before);
    expect(changed(before, delta)).toEqual(after);
    expect(JSON.stringify(before)).toBe(kept);
  }
  expect((changed([a, b], { lists: { '': { gone: ['a'] } } }) as Row[])[0]).toBe(b);
});

type Row = { id: string; n: number };

test('[J340] rows that did not change are the same objects, and nobody is told twice', async () => {
  const device = await watching();
  const { stage, seen, write } = device;
  while (stage.server.functions.changes < 5) {
    const before = rowsOf(device);
    const [told, changes] = [seen.length, stage.server.functions.changes];
    await write(2, `two ${told}`);
    expect(seen).toHaveLength(told + 1);
    const rows = rowsOf(device);
    expect(rows).toEqual(stage.server.functions.value('books.list', ALL));
    const isKept = rows.map((row, at) => row === before[at]);
    expect(isKept.filter((kept) => !kept)).toHaveLength(1);
    expect(Object.isFrozen(rows) && rows.every((row) => Object.isFrozen(row))).toBe(true);
    expect(stage.server.functions.changes - changes).toBeLessThanOrEqual(1);
  }
});

test('[J341] who comes back says what it holds, and is told what it missed', async () => {
  const device = await watching();
  const { stage, seen, write } = device;
  const asked = () => stage.ops('add-call').at(-1)!;
  expect(asked().held).toBeUndefined();
  const [told, before] = [seen.length, rowsOf(device)];
  stage.network.cutAll();
  await stage.settle();
  // Nothing was missed: nothing is told, and nothing is shown anew.
  expect(asked().held).toBeTypeOf('string');
  expect(seen).toHaveLength(told);
  expect(rowsOf(device)).toBe(before);

  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(100);
  stage.server.functions.value('books.list', ALL);
  stage.network.isUp = true;
  await write(1, 'one more');
  expect(rowsOf(device)).toEqual(stage.server.functions.value('books.list', ALL));
  const kept = before.filter(({ id }) => id !== entity(1));
  expect(kept.every((row) => rowsOf(device).includes(row))).toBe(true);
});

test('[J341] what starts from something else is not taken, and all is asked for', async () => {
  const device = await watching();
  const { stage, write } = device;
  const asked = stage.ops('add-call').length;
  stage.server.functions.misnamesVersions = true;
  await write(2, 'two more');
  stage.server.functions.misnamesVersions = false;
  await stage.settle();
  const again = stage.ops('add-call').slice(asked);
  expect(again.length).toBeGreaterThan(0);
  expect(again[0]!.held).toBeUndefined();
  expect(rowsOf(device)).toEqual(stage.server.functions.value('books.list', ALL));
});

test('[J341] another user says nothing of what was held for the one before', async () => {
  const { stage, db } = await watching();
  stage.answer = () => ({ status: 200, body: { user: { id: 'u1', refresh_token: 't1' } } });
  await db.auth.signInWithToken('t1');
  await stage.settle();
  expect(stage.ops('add-call').at(-1)!.held).toBeUndefined();
});

test('[J342] predictions stay on top of what changed below', async () => {
  const device = await watching();
  const { stage, db, write } = device;
  stage.server.functions.answers.set('edit.put', null);
  const mine = { id: entity(1), title: 'mine' };
  void db.call(api.put, mine, { optimistic: (_tx, book, live) => [live(api.list, ALL).put(book)] });
  stage.server.functions.answers.clear();
  for (let number = 0; number < 6; number++) {
    await write(2, `two ${number}`);
    const [first, second] = ['mine', `two ${number}`];
    expect(rowsOf(device).map(({ title }) => title)).toEqual(
      expect.arrayContaining([first, second]),
    );
  }
  db.shutdown();
});

test('[J340] any list comes out of any other', () => {
  const random = new Random(7);
  for (let round = 0; round < 200; round++) {
    const rows = () =>
      [...'abcdefgh'].filter(() => random.chance(0.6)).map((id) => ({ id, n: random.below(2) }));
    const [before, now] = [rows(), rows().sort(() => random.next() - 0.5)];
    const ids = now.map(({ id }) => id);
    const delta: CallDelta = {
      lists: {
        '': {
          gone: before.map(({ id }) => id).filter((id) => !ids.includes(id)),
          put: now,
          order: now.map(({ id }, at) => [at, id] as const),
        },
      },
    };
    expect(changed(before, delta)).toEqual(now);
  }
});
