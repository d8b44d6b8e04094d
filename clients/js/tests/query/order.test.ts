import { expect, test } from 'vitest';
import { compareKeys, type SortKey, sortKey, type SortType } from '../../src/values/order.ts';

const VALUES = [null, undefined, 0, -2, 1.5, '10', '-2', '', 'Ä', 'b', 'B', true, { a: 1 }, ['x']];
const TYPES: SortType[] = ['string', 'number', 'boolean', 'date', null];

test.each(TYPES)('[J155] whatever a field of type %s holds, its order is total', (type) => {
  const keys = VALUES.map((value) => sortKey(type, value));
  const sign = (one: SortKey, other: SortKey) => Math.sign(compareKeys(one, other));
  for (const one of keys) {
    expect(sign(one, one)).toBe(0);
    for (const other of keys) {
      expect(sign(one, other) + sign(other, one)).toBe(0);
      for (const third of keys)
        if (sign(one, other) <= 0 && sign(other, third) <= 0)
          expect(sign(one, third), `${one} ${other} ${third}`).toBeLessThanOrEqual(0);
    }
  }
});
