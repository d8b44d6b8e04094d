import { expect, test } from 'vitest';
import { Backoff } from '../../src/session/backoff.ts';

test('[J34] waits are random below a bound that doubles', () => {
  const backoff = new Backoff();
  const bounds = Array.from({ length: 9 }, () => backoff.next(1006, 0, 1));
  expect(bounds).toEqual([250, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  expect(backoff.next(1006, 0, 0)).toBe(0);
});

test('[J34] a connection that lived makes the next attempt soon', () => {
  const backoff = new Backoff();
  for (let failure = 0; failure < 5; failure++) backoff.next(1006, 0, 1);
  expect(backoff.next(1006, 30_000, 1)).toBe(250);
});

test('[J34] after a restart of the server clients come back over five seconds', () => {
  expect(new Backoff().next(1012, 60_000, 0)).toBe(500);
  expect(new Backoff().next(1013, 60_000, 1)).toBe(5_000);
});
