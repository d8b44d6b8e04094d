import { expect, test } from 'vitest';
import {
  countedText,
  countText,
  lengthOf,
  msText,
  plainText,
  queryLine,
  sizeText,
} from '../../src/devtool/format.ts';

test('[J239] sizes, times and counts are short', () => {
  expect([0, 999, 1_449, 3e6].map(sizeText)).toEqual(['0 B', '999 B', '1.4 kB', '3.0 MB']);
  expect([0.042, 3.21, 120.4].map(msText)).toEqual(['0.04 ms', '3.2 ms', '120 ms']);
  expect([7, 1_000, 1_234_567].map(countText)).toEqual(['7', '1,000', '1,234,567']);
  expect(countedText(1, 'row')).toBe('1 row');
  expect(countedText(2, 'batch', 'batches')).toBe('2 batches');
});

test('[J239] a query is written as people write objects', () => {
  const query = { todos: { $: { where: { 'owner.name': 'a, "b": c', n: [1, 2] } } } };
  expect(plainText(JSON.stringify(query))).toBe(
    String.raw`{todos: {$: {where: {"owner.name": "a, \"b\": c", n: [1, 2]}}}}`,
  );
});

test('[J244] of a long query the beginning is shown', () => {
  const json = JSON.stringify({
    todos: { $: { where: { id: { $in: Array(9_999).fill('id') } } } },
  });
  expect(queryLine(json).length).toBeLessThan(700);
  expect(queryLine(json)).toMatch(/^\{todos: .* …$/);
  expect(queryLine('{"todos":{}}')).toBe('{todos: {}}');
});

test('[J239, J244] the size of an answer is that of its JSON, about, where it is large', () => {
  const row = (place: number) => ({
    id: `id-${place}`,
    title: 'x'.repeat(40),
    tags: [{ n: place }],
  });
  const few = [row(1), row(2)];
  expect(Math.abs(lengthOf(few) - JSON.stringify(few).length)).toBeLessThan(20);
  let reads = 0;
  const many = Array.from({ length: 100_000 }, (_, place) => row(place));
  const counted = new Proxy(many, {
    get: (target, key, receiver) => {
      reads += 1;
      return Reflect.get(target, key, receiver) as unknown;
    },
  });
  const length = lengthOf(counted);
  expect(reads).toBeLessThan(3_000);
  expect(length / JSON.stringify(many).length).toBeGreaterThan(0.9);
  expect(length / JSON.stringify(many).length).toBeLessThan(1.1);
});
