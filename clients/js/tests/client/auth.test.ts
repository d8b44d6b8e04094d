import { expect, test } from 'vitest';
import { Database } from '../../src/client/database.ts';
import type { PasskeyDevice } from '../../src/client/passkeys.ts';
import { environmentOf } from '../simulation/network.ts';
import { entity, Stage } from '../support/stage.ts';

const USER = { id: entity(1), refresh_token: entity(2), email: 'ann@example.com', type: 'user' };
const GUEST = { id: entity(3), refresh_token: entity(4), type: 'guest' };
const PASSKEY = { id: entity(5), name: 'Phone', rp_id: 'example.com' };

/** A client whose device has passkeys, and what was asked over HTTP, newest last. */
function set(device?: PasskeyDevice) {
  const stage = new Stage();
  const requests: { path: string; body: any }[] = [];
  const answers: Record<string, { status?: number; body: object }> = {
    '/runtime/auth/sign_in_guest': { body: { user: GUEST } },
  };
  const fetch = async (url: string, { body }: { body?: string | object }) => {
    const path = new URL(url).pathname;
    requests.push({ path, body: JSON.parse(String(body)) });
    const answer = answers[path] ?? { body: { user: USER, created: false } };
    return { status: answer.status ?? 200, text: async () => JSON.stringify(answer.body) };
  };
  const { clock, random, network } = stage;
  const environment = environmentOf(clock, random, network, new Map(), fetch);
  const db = new Database(
    { appId: 'app', server: 'http://test' },
    { ...environment, passkeys: async () => device },
  );
  return { stage, db, requests, answers };
}

test('[J226] signing up and resetting with a password take the code of a mail', async () => {
  const { stage, db, requests } = set();
  await stage.settle();
  await db.auth.signInAsGuest();
  const secret = { email: 'ann@example.com', password: 'correct horse' };
  const extraFields = { nickname: 'Ann' };
  const { user } = await db.auth.signUpWithPassword({ ...secret, code: '123456', extraFields });
  expect(user).toEqual(USER);
  expect(db.authState.user).toEqual(USER);
  expect(requests.at(-1)).toEqual({
    path: '/runtime/auth/password/sign_up',
    body: {
      ...{ 'app-id': 'app', ...secret, code: '123456', 'extra-fields': extraFields },
      'refresh-token': GUEST.refresh_token,
    },
  });
  await db.auth.resetPassword({ ...secret, code: '654321' });
  expect(requests.at(-1)).toEqual({
    path: '/runtime/auth/password/reset',
    body: { 'app-id': 'app', ...secret, code: '654321' },
  });
});

test('[J226] a password signs in, and is changed by who is signed in', async () => {
  const { stage, db, requests, answers } = set();
  await stage.settle();
  const change = { password: 'correct horse', newPassword: 'battery staple' };
  await expect(db.auth.changePassword(change)).rejects.toMatchObject({ code: 'signed-out' });
  expect(requests).toEqual([]);
  await db.auth.signInWithPassword({ email: 'ann@example.com', password: 'correct horse' });
  expect(db.authState.user).toEqual(USER);
  await stage.settle();
  const before = stage.connections;
  await db.auth.changePassword(change);
  expect(requests.at(-1)).toEqual({
    path: '/runtime/auth/password/change',
    body: {
      ...{ 'app-id': 'app', 'refresh-token': USER.refresh_token },
      ...{ password: 'correct horse', 'new-password': 'battery staple' },
    },
  });
  await stage.settle();
  // It is the same session: nothing is asked anew.
  expect(stage.connections).toBe(before);

  const wrong = { type: 'record-not-found', message: 'no', hint: {} };
  answers['/runtime/auth/password/sign_in'] = { status: 400, body: wrong };
  const asked = db.auth.signInWithPassword({ email: 'ann@example.com', password: 'wrong' });
  await expect(asked).rejects.toMatchObject({ code: 'record-not-found', status: 400 });
  expect(db.authState.user).toEqual(USER);
});

test('[J227] a passkey is added, signs in, is listed and deleted', async () => {
  const did: unknown[] = [];
  const { stage, db, requests, answers } = set({
    create: async (options) => (did.push(['create', options]), { made: 1 }),
    get: async (options, how) => (did.push(['get', options, how]), { signed: 1 }),
  });
  await stage.settle();
  await expect(db.auth.addPasskey()).rejects.toMatchObject({ code: 'signed-out' });
  await db.auth.signInWithToken(entity(2));
  const path = '/runtime/auth/passkey';
  answers[`${path}/register/begin`] = { body: { options: { challenge: 'x' } } };
  answers[`${path}/register/finish`] = { body: { passkey: PASSKEY } };
  answers[`${path}/sign_in/begin`] = { body: { options: { challenge: 'y' } } };
  answers[`${path}/list`] = { body: { passkeys: [PASSKEY] } };
  requests.length = 0;
  const made = await db.auth.addPasskey({ name: 'Phone', rpId: 'example.com' });
  expect(made).toEqual(PASSKEY);
  const account = { 'app-id': 'app', 'refresh-token': entity(2) };
  expect(requests.map(({ body }) => body)).toEqual([
    { ...account, 'rp-id': 'example.com' },
    { ...account, name: 'Phone', credential: { made: 1 } },
  ]);
  expect(await db.auth.listPasskeys()).toEqual([PASSKEY]);
  await db.auth.deletePasskey(PASSKEY.id);
  expect(requests.at(-1)).toEqual({ path: `${path}/delete`, body: { ...account, id: entity(5) } });

  await db.auth.signOut();
  const { user } = await db.auth.signInWithPasskey({ isAutofill: true });
  expect(user).toEqual(USER);
  expect(db.authState.user).toEqual(USER);
  expect(requests.at(-1)!.body).toEqual({ 'app-id': 'app', credential: { signed: 1 } });
  expect(did).toEqual([
    ['create', { challenge: 'x' }],
    ['get', { challenge: 'y' }, { isAutofill: true }],
  ]);
});

test('[J227] a device that will not says why; without one nothing is asked', async () => {
  const refusal = Object.assign(new Error('Not now.'), { name: 'NotAllowedError' });
  const { stage, db, requests, answers } = set({
    create: () => Promise.reject(refusal),
    get: () => Promise.reject(refusal),
  });
  await stage.settle();
  answers['/runtime/auth/passkey/sign_in/begin'] = { body: { options: {} } };
  const failed = { code: 'passkey-failed', hint: { reason: 'NotAllowedError' }, cause: refusal };
  await expect(db.auth.signInWithPasskey()).rejects.toMatchObject(failed);
  expect(requests).toHaveLength(1);
  expect(db.authState.user).toBeNull();

  const without = set();
  await without.stage.settle();
  const asked = without.db.auth.signInWithPasskey();
  await expect(asked).rejects.toMatchObject({ code: 'passkeys-missing' });
  expect(without.requests).toEqual([]);
});
