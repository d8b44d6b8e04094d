import { expect, test } from 'vitest';
import { Lazy } from '../../src/client/lazy.ts';
import { environmentOf } from '../simulation/network.ts';
import { Stage } from '../support/stage.ts';

test('[J98] code that cannot be fetched is asked for again; calls wait, in order', async () => {
  const { clock, random, network } = new Stage();
  let tries = 0;
  const lazy = new Lazy(environmentOf(clock, random, network), () =>
    ++tries < 3 ? Promise.reject(new Error('offline')) : Promise.resolve('code'),
  );
  const calls: string[] = [];
  lazy.call((part) => calls.push(`${part} 1`));
  lazy.call((part) => calls.push(`${part} 2`));
  await clock.pass(4_000);
  expect(calls).toEqual([]);
  expect(lazy.part).toBeNull();
  await clock.pass(10_000);
  expect(calls).toEqual(['code 1', 'code 2']);
  lazy.call((part) => calls.push(`${part} 3`));
  expect(calls).toHaveLength(3);
  expect(tries).toBe(3);
});

test('[J301] code that nobody waits for is not asked for before its time', async () => {
  const { clock, random, network } = new Stage();
  let tries = 0;
  const lazy = new Lazy(environmentOf(clock, random, network), () => {
    tries++;
    return Promise.reject<string>(new Error('offline'));
  });
  for (let place = 0; place < 20; place++) {
    lazy.need();
    await clock.pass(100);
  }
  expect(tries).toBe(1);
  await expect(lazy.get()).rejects.toMatchObject({ code: 'part-missing' });
  expect(tries).toBe(2);
  await clock.pass(4_900);
  expect(tries).toBe(2);
  await clock.pass(200);
  expect(tries).toBe(3);
});
