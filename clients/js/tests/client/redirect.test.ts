/** Signing in with a provider: what the page that people come back to does. */
import { expect, test } from 'vitest';
import type { Environment } from '../../src/client/environment.ts';
import { Database } from '../../src/client/database.ts';
import { environmentOf } from '../simulation/network.ts';
import { entity, Stage } from '../support/stage.ts';

const USER = { id: entity(1), refresh_token: entity(2), email: 'ada@example.com' };
const BACK = { _instant_oauth_redirect: 'true', code: 'c 1', page: '2' };

/** A page whose address has these parameters, and what became of it. */
function page(
  parameters: Record<string, string>,
  {
    stored = new Map<string, string>(),
    answer = 200 as number,
    body = { user: USER } as object,
  } = {},
) {
  const stage = new Stage();
  const asked: { path: string; body: unknown }[] = [];
  const shown = new Map(Object.entries(parameters));
  const fetch: Environment['fetch'] = async (url, init) => {
    asked.push({ path: new URL(url).pathname, body: JSON.parse(String(init.body)) });
    return { status: answer, text: async () => JSON.stringify(body) };
  };
  const environment: Environment = {
    ...environmentOf(stage.clock, stage.random, stage.network, stored, fetch),
    address: {
      get: (name) => shown.get(name) ?? null,
      remove: (names) => names.forEach((name) => shown.delete(name)),
    },
  };
  const db = new Database({ appId: 'app', server: 'http://test' }, environment);
  return { stage, db, asked, shown, stored };
}

test('[J251] who comes back from a provider is signed in, and the address is cleared', async () => {
  const { stage, db, asked, shown, stored } = page(BACK);
  const states: unknown[] = [db.authState.isLoading];
  db.subscribeAuth(({ user }) => states.push(user?.id ?? null));
  await stage.settle();
  expect(states).toEqual([true, USER.id]);
  expect(asked).toEqual([{ path: '/runtime/oauth/token', body: { app_id: 'app', code: 'c 1' } }]);
  expect([...shown.keys()]).toEqual(['page']);
  expect(stage.ops('init').map((init) => init['refresh-token'])).toEqual([USER.refresh_token]);
  expect([...stored.values()]).toEqual([JSON.stringify(USER)]);
});

test('[J251] the token of who was signed in goes along: a guest keeps what is theirs', async () => {
  const stored = new Map<string, string>();
  const before = page({}, { stored });
  await before.stage.settle();
  await before.db.auth.signInAsGuest({ extraFields: { name: 'Ada' } });
  await before.stage.settle();
  expect(before.asked[0]!.body).toEqual({ 'app-id': 'app', 'extra-fields': { name: 'Ada' } });
  const { stage, db, asked } = page(BACK, { stored, body: { user: { ...USER, id: entity(3) } } });
  await stage.settle();
  const token = { refresh_token: USER.refresh_token };
  expect(asked.map(({ body }) => body)).toEqual([{ app_id: 'app', code: 'c 1', ...token }]);
  expect(db.authState.user?.id).toBe(entity(3));
});

test('[J251] a refusal stands in the state of sign-in, once', async () => {
  const refused = page({ _instant_oauth_redirect: 'true', error: 'access_denied' });
  await refused.stage.settle();
  expect(refused.db.authState).toMatchObject({
    isLoading: false,
    user: undefined,
    error: { code: 'sign-in-refused', message: 'The provider did not sign in: access_denied.' },
  });
  expect(refused.asked).toEqual([]);
  expect(refused.shown.size).toBe(0);
  expect(await refused.db.getAuth()).toBeNull();

  const body = { type: 'param-malformed', message: 'no verified address' };
  const denied = page(BACK, { answer: 400, body });
  await denied.stage.settle();
  expect(denied.db.authState.error).toMatchObject({ code: 'param-malformed' });
  expect([...denied.shown.keys()]).toEqual(['page']);
  expect(denied.db.connectionStatus).toBe('authenticated');
});

test('[J251] a code that was used already changes nothing for who is signed in', async () => {
  const stored = new Map<string, string>();
  await page(BACK, { stored }).stage.settle();
  const body = {
    type: 'record-not-found',
    message: 'no code',
    hint: { 'record-type': 'app-oauth-code' },
  };
  const again = page(BACK, { stored, answer: 400, body });
  await again.stage.settle();
  expect(again.db.authState).toMatchObject({ user: USER, error: undefined });
  const nobody = page(BACK, { answer: 400, body });
  await nobody.stage.settle();
  expect(nobody.db.authState.error).toMatchObject({ code: 'record-not-found' });
});

test('[J251] a page that nobody came back to asks nothing', async () => {
  const { stage, db, asked, shown } = page({ code: 'mine', error: 'mine too' });
  await stage.settle();
  expect(db.authState).toMatchObject({ user: null, error: undefined });
  expect(asked).toEqual([]);
  expect(shown.size).toBe(2);
});
