import { expect, test } from 'vitest';
import { BATCH_LENGTH, type DiskChange } from '../../src/client/disk.ts';
import { headOf, triplesOf } from '../../src/persistence/answers.ts';
import { Cache } from '../../src/persistence/cache.ts';
import { Kept } from '../../src/persistence/kept.ts';
import { sealed, unsealed } from '../../src/persistence/seal.ts';
import { Catalog } from '../../src/schema/catalog.ts';
import { Answer } from '../../src/store/answer.ts';
import type { Triple } from '../../src/store/bag.ts';
import { Intern } from '../../src/store/intern.ts';
import { byCardinality } from '../support/pages.ts';
import { SHELF_ATTRS } from '../support/shelf.ts';

const CATALOG = Catalog.of(SHELF_ATTRS);
const DAY_MS = 24 * 3_600_000;

function answerOf(etype: string, rows: number, text = 'text'): Answer {
  const answer = new Answer(etype, { [etype]: {} }, CATALOG, new Intern(), {
    hasOne: byCardinality,
    code: { part: null, need: () => {} },
  });
  const attrs = [...CATALOG.names('tags').values()].filter(({ isForward }) => isForward);
  const ids = Array.from({ length: rows }, (_, place) => `id-${place}`);
  const triples = ids.flatMap((id): Triple[] =>
    attrs
      .filter(({ attr }) => !attr.isLink)
      .map(({ attr }) => [id, attr.id, attr.label === 'id' ? id : text, 1]),
  );
  answer.land({
    version: 'v',
    tx: 5,
    result: [{ data: { 'datalog-result': { 'join-rows': [triples] } } }],
  });
  return answer;
}

/** Does changes to rows, as a disk does. */
function apply(rows: Map<string, string>, changes: readonly DiskChange[]): void {
  for (const change of changes) {
    const name = (key: string) => `${change.table} ${key}`;
    if ('range' in change) {
      const { from, before } = change.range;
      for (const key of [...rows.keys()])
        if (key >= name(from) && key < name(before)) rows.delete(key);
    } else if (change.value === null) rows.delete(name(change.key));
    else rows.set(name(change.key), change.value);
  }
}

const piecesIn = (rows: Map<string, string>) =>
  [...rows].filter(([key]) => key.startsWith('rows ')).sort() as [string, string][];

test('[J76] a value that is not what was sealed is undefined', () => {
  const text = sealed({ a: ['x', 1] });
  expect(unsealed(text)).toEqual({ a: ['x', 1] });
  for (let place = 0; place < text.length; place++)
    expect(unsealed(`${text.slice(0, place)}#${text.slice(place + 1)}`)).toBeUndefined();
  expect(unsealed('')).toBeUndefined();
});

test('[J74] an answer is written whole, and read as it was', () => {
  const kept = new Kept();
  const cache = new Cache(kept);
  const rows = new Map<string, string>();
  const answer = answerOf('tags', 3_000, 'x'.repeat(100));
  kept.note(answer, 0);
  for (const batch of cache.take(Infinity, 0, [])) apply(rows, batch);
  const head = headOf(rows.get('answers tags')!)!;
  expect(head.pieces).toBeGreaterThan(2);
  expect(triplesOf(head, piecesIn(rows))).toEqual([...answer.bag.triples()]);
  expect(triplesOf(head, piecesIn(rows).slice(1))).toBeUndefined();
  expect(triplesOf(head, piecesIn(rows).toReversed())).toBeUndefined();
});

test('[J76] one of several batches alone is no answer', () => {
  const kept = new Kept();
  const cache = new Cache(kept);
  const rows = new Map<string, string>();
  kept.note(answerOf('tags', 3_000, 'x'.repeat(1_000)), 0);
  const batches = cache.take(Infinity, 0, []);
  expect(batches.length).toBeGreaterThan(2);
  for (const [place, batch] of batches.entries()) {
    apply(rows, batch);
    const head = rows.get('answers tags');
    expect(head !== undefined && headOf(head) !== undefined).toBe(place === batches.length - 1);
    const length = batch.reduce(
      (sum, change) => sum + ('value' in change ? (change.value?.length ?? 0) : 0),
      0,
    );
    expect(length).toBeLessThan(BATCH_LENGTH * 1.2);
  }
});

test('[J76] answers are bounded by number, entities and bytes; the least recently used go', () => {
  const limits = { answers: 3, entities: 100, bytes: 100_000 };
  const kept = new Kept();
  const cache = new Cache(kept, limits);
  const rows = new Map<string, string>();
  const write = (name: string, size: number, now: number) => {
    kept.note(answerOf(name, size), now);
    for (const batch of cache.take(Infinity, now, [])) apply(rows, batch);
  };
  const names = () =>
    [...rows.keys()].flatMap((key) => (key.startsWith('answers ') ? [key.slice(8)] : []));
  for (const [place, name] of ['books', 'people', 'tags'].entries()) write(name, 10, place);
  apply(rows, kept.use('books', 9));
  write('one', 10, 10);
  expect(names().sort()).toEqual(['books', 'one', 'tags']);
  write('large', 85, 11);
  expect(names().sort()).toEqual(['large', 'one']);
  write('two', 5, 12);
  apply(rows, cache.evictHalf());
  expect(names()).toEqual(['two']);
  kept.quotaBytes = 10_000;
  write('last', 1, 13);
  write('large', 85, 14);
  expect(names().sort()).toEqual(['last', 'two']);
  expect(piecesIn(rows)).toHaveLength(2);
});

test('[J76] an answer that was not used for 90 days is not taken over', () => {
  const kept = new Kept();
  const cache = new Cache(kept);
  const rows = new Map<string, string>();
  kept.note(answerOf('tags', 1), 0);
  for (const batch of cache.take(Infinity, 0, [])) apply(rows, batch);
  const heads = [['tags', rows.get('answers tags')!]] as const;
  const later = new Kept();
  expect(later.load(heads, 89 * DAY_MS)).toEqual([]);
  expect(later.heads.get('tags')).toBeDefined();
  const tooLate = new Kept();
  apply(rows, tooLate.load(heads, 90 * DAY_MS));
  expect(tooLate.heads.get('tags')).toBeUndefined();
  expect(rows.size).toBe(0);
});

test('[J82] an answer is written 250 ms after it changed, 1 s at most, a large one later', () => {
  const kept = new Kept();
  const cache = new Cache(kept);
  const answer = answerOf('tags', 3_000, 'x'.repeat(100));
  kept.note(answer, 0);
  expect(cache.dueAt).toBe(250);
  for (let now = 100; now <= 950; now += 100) kept.note(answer, now);
  expect(cache.dueAt).toBe(1_000);
  expect(cache.take(999, 999, [])).toEqual([]);
  cache.take(1_000, 1_000, []);
  expect(kept.isClean).toBe(true);
  kept.note(answer, 1_001);
  const bytes = kept.heads.get('tags')!.bytes;
  expect(bytes).toBeGreaterThan(300_000);
  expect(cache.dueAt).toBeCloseTo(1_000 + bytes / 100);
});
