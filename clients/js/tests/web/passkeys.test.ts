import { expect, test } from 'vitest';
import { passkeysOf } from '../../src/web/passkeys.ts';

/** A browser that says what it was asked. */
function browser() {
  const asked: unknown[] = [];
  const credential = { toJSON: () => ({ id: 'x' }) };
  const take = async (options: object) => (asked.push(options), credential);
  return {
    asked,
    navigator: { credentials: { create: take, get: take } },
    PublicKeyCredential: {
      parseCreationOptionsFromJSON: (options: object) => ({ created: options }),
      parseRequestOptionsFromJSON: (options: object) => ({ requested: options }),
    },
  };
}

test('[J227] the browser makes passkeys and signs, also with what it fills in', async () => {
  const globals = browser();
  const device = passkeysOf(globals)!;
  expect(await device.create({ a: 1 })).toEqual({ id: 'x' });
  await device.get({ b: 2 }, {});
  const { signal } = new AbortController();
  expect(await device.get({ b: 2 }, { isAutofill: true, signal })).toEqual({ id: 'x' });
  expect(globals.asked).toEqual([
    { publicKey: { created: { a: 1 } } },
    { publicKey: { requested: { b: 2 } } },
    { publicKey: { requested: { b: 2 } }, mediation: 'conditional', signal },
  ]);
});

test('[J227] places without passkeys, and browsers that are too old, have none', () => {
  expect(passkeysOf({})).toBeUndefined();
  expect(passkeysOf({ ...browser(), PublicKeyCredential: {} })).toBeUndefined();
});
