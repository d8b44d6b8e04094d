/** The route of an app's own server that keeps who is signed in, in a cookie. */
import { expect, test } from 'vitest';
import { createInstantRouteHandler, createRouteHandler, getUser } from '../../src/ssr/index.ts';
import { cookieName, setCookie } from '../../src/http/cookie.ts';
import { ADA } from '../support/page-stage.ts';

const { POST } = createRouteHandler({ appId: 'app' });

function asked(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return POST(
    new Request('https://site.example/api/trice', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    }),
  );
}

function requestWith(cookie: string): { headers: Headers } {
  return { headers: new Headers({ cookie }) };
}

test('[J189] the cookie holds the user, for scripts and other sites out of reach', async () => {
  const answer = await asked({ type: 'sync-user', appId: 'app', user: ADA });
  expect([answer.status, await answer.json()]).toEqual([200, { ok: true }]);
  const [pair, ...attributes] = answer.headers.get('set-cookie')!.split('; ');
  expect(attributes).toEqual(['Path=/', 'HttpOnly', 'Secure', 'SameSite=Lax', 'Max-Age=604800']);
  expect(getUser(requestWith(`x=%; ${pair}; y=2`), 'app')).toEqual(ADA);
  expect(getUser(requestWith(pair!), 'other')).toBeNull();
  expect(getUser(requestWith(''), 'app')).toBeNull();
  expect(createInstantRouteHandler).toBe(createRouteHandler);
});

test.each([null, undefined, {}, { id: '1' }, 'x'])(
  '[J189] signing out removes the cookie: %j',
  async (user) => {
    const answer = await asked({ type: 'sync-user', appId: 'app', user });
    const cookie = answer.headers.get('set-cookie')!;
    expect(cookie).toMatch(/^instant_user_app=; .*Max-Age=0$/);
  },
);

test.each<[string, number, unknown, Record<string, string>]>([
  ['another app', 403, { type: 'sync-user', appId: 'b', user: ADA }, {}],
  ['another type', 400, { type: 'x', appId: 'app' }, {}],
  ['no JSON', 400, '{', {}],
  ['no object', 400, '[]', {}],
  ['a form', 415, { type: 'sync-user', appId: 'app' }, { 'content-type': 'text/plain' }],
  ['another site', 403, { type: 'sync-user', appId: 'app' }, { 'sec-fetch-site': 'cross-site' }],
  ['a neighbour', 403, { type: 'sync-user', appId: 'app' }, { 'sec-fetch-site': 'same-site' }],
])('[J189] %s sets no cookie', async (_, status, body, headers) => {
  const answer = await asked(body, headers);
  expect(answer.status).toBe(status);
  expect(answer.headers.get('set-cookie')).toBeNull();
  expect(await answer.json()).toMatchObject({ ok: false, error: expect.any(String) });
});

test('[J189] a user who does not fit into a cookie goes in without the fields of the app', () => {
  const cookie = setCookie('app', { ...ADA, story: 'é'.repeat(3_000) });
  expect(cookie.length).toBeLessThan(4_096);
  expect(getUser(requestWith(cookie.split(';')[0]!), 'app')).toEqual(ADA);
});

test.each(['%', '%7B', '"null"', encodeURIComponent('{"refresh_token":7}'), '[]'])(
  '[J189] a cookie that holds no user is nobody: %s',
  (value) => {
    expect(getUser(requestWith(`${cookieName('app')}=${value}`), 'app')).toBeNull();
  },
);
