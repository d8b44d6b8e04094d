// The official platform client with OAuth: codes exchanged, tokens refreshed by themselves.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { exchangeCodeForToken, exchangeRefreshToken, PlatformApi } from '@instantdb/platform';
import { createAccount, post, startServer } from './support/server.mjs';
import { rejection } from './support/wait.mjs';

const BACK = 'https://shop.example.com/back';

let server;
let headers;
let client;

before(async () => {
  server = await startServer();
  headers = { authorization: `Bearer ${await createAccount(server, 'ann@example.com')}` };
  const { app } = await ask('/superadmin/apps', { title: 'shop' });
  const { app: oauthApp } = await ask(`/dash/apps/${app.id}/oauth-apps`, { app_name: 'Shop' });
  const made = await ask(`/dash/apps/${app.id}/oauth-apps/${oauthApp.id}/clients`, {
    client_name: 'web',
    authorized_redirect_urls: [BACK],
  });
  client = { clientId: made.client.clientId, clientSecret: made.secretValue };
});
after(() => server?.stop());

async function ask(path, body, more = {}) {
  const answer = await post(server.url + path, body, { ...headers, ...more });
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
}

/** What a browser does, and a person who allows it. */
async function allowedCode(scope) {
  const query = { client_id: client.clientId, redirect_uri: BACK, response_type: 'code' };
  const url = `${server.url}/platform/oauth/start?`;
  const begun = await fetch(url + new URLSearchParams({ ...query, scope, state: 'x' }), {
    redirect: 'manual',
  });
  assert.equal(begun.status, 302, await begun.text());
  const redirect = new URL(begun.headers.get('location'), url).searchParams.get('redirect-id');
  const cookie = begun.headers.get('set-cookie').split(';')[0];
  const { grantToken } = await ask('/platform/oauth/claim', { redirect }, { cookie });
  const granted = await fetch(`${server.url}/platform/oauth/grant`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie },
    body: new URLSearchParams({ redirect_id: redirect, grant_token: grantToken }),
  });
  assert.equal(granted.status, 302, await granted.text());
  return new URL(granted.headers.get('location')).searchParams.get('code');
}

const exchange = (code, more = {}) =>
  exchangeCodeForToken({ code, ...client, redirectUri: BACK, apiURI: server.url, ...more });

describe('OAuth of the platform', () => {
  test('[AC111] [AC100] a code becomes tokens that act for the account', async () => {
    const tokens = await exchange(await allowedCode('apps-read apps-write'));
    assert.equal(tokens.scopes, 'apps-read apps-write');
    assert.ok(tokens.expiresAt.getTime() > Date.now() + 13 * 24 * 3600 * 1000);
    const api = new PlatformApi({ auth: { token: tokens.accessToken }, apiURI: server.url });
    const { app } = await api.createApp({ title: 'made by Shop' });
    const { apps } = await api.getApps({});
    assert.ok(apps.some((each) => each.id === app.id));
    const info = await api.tokenInfo();
    assert.equal(info.scopes, 'apps-read apps-write');

    const read = await exchange(await allowedCode('apps-read'));
    const reader = new PlatformApi({ auth: { token: read.accessToken }, apiURI: server.url });
    const refused = await rejection(reader.createApp({ title: 'no' }));
    assert.equal(refused.body.hint['required-scope'], 'apps-write');
  });

  test('[AC111] [AC110] a code that is wrong is an InstantOAuthError', async () => {
    const code = await allowedCode('apps-read');
    await exchange(code);
    const failure = await rejection(exchange(code));
    assert.equal(failure.error, 'invalid_grant');
    assert.match(failure.errorDescription, /used before/);
    assert.equal((await rejection(exchange(code, { clientSecret: 'x' }))).error, 'invalid_client');
  });

  test('[AC111] [AC105] the client refreshes by itself when its token is over', async () => {
    const tokens = await exchange(await allowedCode('apps-read'));
    await ask('/platform/oauth/revoke', { token: tokens.accessToken });
    let refreshed;
    const auth = {
      ...client,
      accessToken: tokens.accessToken,
      refreshToken: tokens.refreshToken,
      onRefresh: async (news) => (refreshed = news),
    };
    const api = new PlatformApi({ auth, apiURI: server.url });
    assert.ok((await api.getApps({})).apps.length > 0);
    assert.match(refreshed.accessToken, /^pat_/);
    const again = await exchangeRefreshToken({
      ...client,
      refreshToken: tokens.refreshToken,
      apiURI: server.url,
    });
    assert.equal(again.scopes, 'apps-read');
  });
});
