// Sign-in with a provider: the official client's addresses and exchanges, the provider's pages.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { connectCore, createAdmin } from './support/clients.mjs';
import { addProvider, createBrowser, SITE, startOutside } from './support/outside.mjs';
import { createApp, startServer } from './support/server.mjs';
import { rejection } from './support/wait.mjs';

const schema = {
  entities: {
    $users: {
      attrs: {
        nickname: { valueType: 'string', config: { indexed: false, unique: false } },
      },
    },
  },
  links: {},
};

let server;
let app;
let admin;
let outside;
const open = [];

before(async () => {
  outside = await startOutside();
  server = await startServer({ env: outside.env });
  app = await createApp(server, {
    schema,
    rules: { code: { $users: { allow: { create: 'data.nickname != "root"' } } } },
  });
  admin = createAdmin(server, app);
  await addProvider(server, app, outside);
});
after(async () => {
  for (const core of open) core.close();
  await server?.stop();
  outside?.stop();
});

async function client() {
  const core = await connectCore(server, app);
  open.push(core);
  return core.db;
}

let personCount = 0;

/** Somebody the provider has not seen. */
async function newPerson(claims = {}) {
  personCount += 1;
  const person = { sub: `sub-${personCount}`, email: `p${personCount}@example.com`, ...claims };
  await outside.person(person);
  return person;
}

const startOf = (db, redirectURL = `${SITE}/in?tab=2#top`, more = {}) =>
  db.auth.createAuthorizationURL({ clientName: 'oidc', redirectURL, ...more });

describe('by redirects', () => {
  test('[A101, A106, A112] the dance ends in the app, and the code signs in once', async () => {
    const db = await client();
    const person = await newPerson({ picture: 'https://pictures.example/ann.png' });
    const page = await createBrowser().signIn(startOf(db));
    assert.equal(page.origin + page.pathname + page.hash, `${SITE}/in#top`);
    assert.equal(page.searchParams.get('tab'), '2');
    assert.equal(page.searchParams.get('_instant_oauth_redirect'), 'true');
    const code = page.searchParams.get('code');
    const { user, created } = await db.auth.exchangeOAuthCode({ code });
    assert.deepEqual([user.email, user.imageURL, created], [person.email, person.picture, true]);
    assert.equal((await db.getAuth()).id, user.id);
    assert.equal((await admin.auth.verifyToken(user.refresh_token)).id, user.id);

    const used = await rejection(db.auth.exchangeOAuthCode({ code }));
    assert.equal(used.body.type, 'record-not-found');
    assert.equal(used.body.hint['record-type'], 'app-oauth-code');

    const other = await client();
    const again = await createBrowser().signIn(startOf(other));
    const second = await other.auth.exchangeOAuthCode({ code: again.searchParams.get('code') });
    assert.deepEqual([second.user.id, second.created], [user.id, false]);
  });

  test('[A105] another browser than the one that began cannot finish', async () => {
    const db = await client();
    await newPerson();
    const mine = createBrowser();
    const start = await mine.go(startOf(db));
    const page = await (await mine.go(start.headers.get('location'))).text();
    const state = /name="state" value="([^"]*)"/.exec(page)[1];
    const code = /name="code" value="([^"]*)"/.exec(page)[1];
    const callback = `${server.url}/runtime/oauth/callback`;
    const form = () => ({ method: 'POST', body: new URLSearchParams({ state, code }) });
    const stolen = await createBrowser().go(callback, form());
    assert.equal(stolen.status, 400);
    assert.equal((await stolen.json()).type, 'oauth-error');
  });

  test('[A103] a page of somebody else’s is refused before the provider is asked', async () => {
    const db = await client();
    const seen = await outside.hits('/authorize');
    const start = await createBrowser().go(startOf(db, 'https://evil.example/in'));
    assert.equal(start.status, 400);
    const body = await start.json();
    assert.deepEqual([body.type, body.hint['data-type']], ['validation-failed', 'redirect-uri']);
    assert.equal(await outside.hits('/authorize'), seen);
  });

  test('[A113] PKCE: the verifier of the challenge is needed, and uses the code up', async () => {
    const db = await client();
    await newPerson();
    const verifier = 'v'.repeat(50);
    const challenge = createHash('sha256').update(verifier).digest('base64url');
    const url = `${startOf(db)}&code_challenge=${challenge}&code_challenge_method=S256`;
    for (const codeVerifier of [undefined, 'w'.repeat(50)]) {
      const code = (await createBrowser().signIn(url)).searchParams.get('code');
      const refused = await rejection(db.auth.exchangeOAuthCode({ code, codeVerifier }));
      assert.equal(refused.body.type, 'validation-failed');
    }
    const code = (await createBrowser().signIn(url)).searchParams.get('code');
    const { created } = await db.auth.exchangeOAuthCode({ code, codeVerifier: verifier });
    assert.equal(created, true);
  });

  test('[A107] trouble at the provider comes back to the page as error', async () => {
    const db = await client();
    await newPerson({ email_verified: false });
    const page = await createBrowser().signIn(startOf(db));
    assert.ok(page.searchParams.get('error'), page.href);
    assert.equal(page.searchParams.get('code'), null);
    assert.equal(page.searchParams.get('_instant_oauth_redirect'), 'true');
  });

  test('[A133] a guest keeps its id', async () => {
    const db = await client();
    const { user: guest } = await db.auth.signInAsGuest();
    const person = await newPerson();
    const page = await createBrowser().signIn(startOf(db));
    const { user } = await db.auth.exchangeOAuthCode({ code: page.searchParams.get('code') });
    assert.deepEqual([user.id, user.email, user.type], [guest.id, person.email, 'user']);
  });

  test('[A135] extra fields reach a new account', async () => {
    const db = await client();
    await newPerson();
    const extraFields = { nickname: 'ann' };
    const page = await createBrowser().signIn(startOf(db, `${SITE}/in?tab=2`, { extraFields }));
    assert.ok(page.searchParams.get('_instant_extra_fields_id'), page.href);
    const code = page.searchParams.get('code');
    const { user } = await db.auth.exchangeOAuthCode({ code, extraFields });
    assert.equal(user.nickname, 'ann');
  });

  test('[A131] whoever has the address already enters that account', async () => {
    const person = await newPerson();
    await admin.auth.createToken({ email: person.email });
    const known = await admin.auth.getUser({ email: person.email });
    const db = await client();
    const page = await createBrowser().signIn(startOf(db));
    const code = page.searchParams.get('code');
    const { user, created } = await db.auth.exchangeOAuthCode({ code });
    assert.deepEqual([user.id, created], [known.id, false]);
  });

  test('[A100] libraries find the endpoints below issuerURI()', async () => {
    const db = await client();
    const response = await fetch(`${db.auth.issuerURI()}/.well-known/openid-configuration`);
    assert.deepEqual(await response.json(), {
      authorization_endpoint: `${server.url}/runtime/${app.id}/oauth/start`,
      token_endpoint: `${server.url}/runtime/${app.id}/oauth/token`,
    });
  });
});

describe('by id_token', () => {
  const enter = (db, idToken, more = {}) =>
    db.auth.signInWithIdToken({ clientName: 'oidc', idToken, ...more });

  test('[A121, A130] a token of the provider signs up, then in', async () => {
    const person = await newPerson();
    const db = await client();
    const { user, created } = await enter(db, await outside.idToken());
    assert.deepEqual([user.email, created], [person.email, true]);
    assert.equal((await db.getAuth()).id, user.id);
    const again = await enter(await client(), await outside.idToken());
    assert.deepEqual([again.user.id, again.created], [user.id, false]);
  });

  test('[A128] who is signed in already keeps the refresh token', async () => {
    await newPerson();
    const db = await client();
    const first = await enter(db, await outside.idToken());
    const second = await enter(db, await outside.idToken());
    assert.equal(second.user.refresh_token, first.user.refresh_token);
  });

  test('[A122] nonces agree, as they are or hashed', async () => {
    await newPerson();
    const nonce = 'n-0S6_WzA2Mj';
    const hashed = createHash('sha256').update(nonce).digest('hex');
    for (const claim of [nonce, hashed]) {
      const { user } = await enter(await client(), await outside.idToken({ nonce: claim }), {
        nonce,
      });
      assert.ok(user.id);
    }
    for (const [claims, given] of [
      [{ nonce }, undefined],
      [{}, nonce],
      [{ nonce }, 'other'],
    ]) {
      const db = await client();
      const refused = await rejection(enter(db, await outside.idToken(claims), { nonce: given }));
      assert.equal(refused.body.type, 'validation-failed');
      assert.match(refused.body.message, /nonce/);
      assert.equal(await db.getAuth(), null);
    }
  });

  for (const [what, claims] of [
    ['A123] another issuer', { iss: 'https://evil.example' }],
    ['A124] another audience', { aud: 'another-app' }],
    ['A125] a time that is over', { exp: 1_000_000_000 }],
    ['A125] no subject', { sub: null }],
  ]) {
    test(`[${what} is refused`, async () => {
      await newPerson();
      const db = await client();
      const token = await outside.idToken(claims);
      const refused = await rejection(enter(db, token));
      assert.equal(refused.status, 400);
      assert.equal(refused.body.type, 'validation-failed');
      assert.equal(refused.body.hint['data-type'], 'id_token');
      assert.equal(JSON.stringify(refused.body).includes(token), false);
      assert.equal(await db.getAuth(), null);
    });
  }

  test('[A121] a signature by another key is refused', async () => {
    await newPerson();
    const [header, payload, signature] = (await outside.idToken()).split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url'));
    const forged = Buffer.from(JSON.stringify({ ...claims, sub: 'root' })).toString('base64url');
    for (const token of [
      `${header}.${forged}.${signature}`,
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${forged}.`,
    ]) {
      const refused = await rejection(enter(await client(), token));
      assert.equal(refused.body.hint['data-type'], 'id_token');
    }
  });

  test('[A133] a guest keeps its id', async () => {
    const person = await newPerson();
    const db = await client();
    const { user: guest } = await db.auth.signInAsGuest();
    const { user, created } = await enter(db, await outside.idToken());
    assert.deepEqual([user.id, user.email, created], [guest.id, person.email, true]);
  });
});
