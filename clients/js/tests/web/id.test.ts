import { expect, test } from 'vitest';
import { idMaker } from '../../src/web/id.ts';
import { Random } from '../support/random.ts';

test('[J37] ids are UUIDs of version 7, and sort in the order in which they were made', () => {
  const random = new Random(3);
  let now = 1_750_000_000_000;
  const fill = (bytes: Uint8Array) =>
    bytes.forEach((_, place) => (bytes[place] = random.below(256)));
  const make = idMaker(() => now, fill);
  const ids: string[] = [];
  for (let count = 0; count < 20_000; count++) {
    // The clock stands still, goes on, and now and then goes back.
    now += random.pick([0, 0, 0, 0, 1, -5]);
    ids.push(make());
  }
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
