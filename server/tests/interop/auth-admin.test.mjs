// Users and impersonation with the official admin client.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/admin';
import { createAdmin } from './support/clients.mjs';
import { startOutside } from './support/outside.mjs';
import { createApp, post, startServer } from './support/server.mjs';
import { rejection, within } from './support/wait.mjs';

const rules = {
  notes: { allow: { view: 'auth.id == data.owner', create: 'auth.id == data.owner' } },
};

let server;
let app;
let admin;
let outside;
let ann;
let annToken;

before(async () => {
  outside = await startOutside();
  server = await startServer({ env: outside.env });
  app = await createApp(server, { rules: { code: rules } });
  admin = createAdmin(server, app);
  annToken = await admin.auth.createToken({ email: 'ann@example.com' });
  ann = await admin.auth.getUser({ email: 'ann@example.com' });
  await admin.transact(admin.tx.notes[id()].create({ text: 'hers', owner: ann.id }));
});
after(async () => {
  await server?.stop();
  outside?.stop();
});

describe('users', () => {
  test('[A75] getUser by address, id and token; null for nobody', async () => {
    assert.equal(ann.email, 'ann@example.com');
    assert.equal('refresh_token' in ann, false);
    for (const whom of [{ id: ann.id }, { refresh_token: annToken }, { email: 'ANN@example.com ' }])
      assert.equal((await admin.auth.getUser(whom))?.id, ann.id, JSON.stringify(whom));
    for (const whom of [{ id: id() }, { refresh_token: id() }, { email: 'no@example.com' }])
      assert.equal(await admin.auth.getUser(whom), null, JSON.stringify(whom));
    const malformed = await rejection(admin.auth.getUser({ id: 'x' }));
    assert.equal(malformed.body.type, 'param-malformed');
    assert.equal((await rejection(admin.auth.getUser({}))).body.type, 'validation-failed');
  });

  test('[A71] createToken by address, in three spellings, and by id', async () => {
    const token = await admin.auth.createToken('bob@example.com');
    const bob = await admin.auth.verifyToken(token);
    assert.equal(bob.email, 'bob@example.com');
    assert.equal(bob.refresh_token, token);
    const again = await admin.auth.createToken({ email: 'bob@example.com' });
    assert.notEqual(again, token);
    assert.equal((await admin.auth.verifyToken(again)).id, bob.id);
    const wanted = id();
    const made = await admin.auth.verifyToken(await admin.auth.createToken({ id: wanted }));
    assert.equal(made.id, wanted);
    assert.equal(made.email ?? null, null);
    assert.equal((await rejection(admin.auth.createToken({}))).body.type, 'validation-failed');
  });

  test('[A72, A73] generateMagicCode sends nothing; checkMagicCode uses the code', async () => {
    const email = 'carl@example.com';
    const { code } = await admin.auth.generateMagicCode(email);
    assert.match(code, /^\d{6}$/);
    assert.deepEqual(await outside.mails(email), []);
    const { user, created } = await admin.auth.checkMagicCode(email, code);
    assert.deepEqual([user.email, created], [email, true]);
    assert.equal((await admin.auth.verifyToken(user.refresh_token)).id, user.id);

    const sent = await admin.auth.sendMagicCode(email);
    assert.equal(await outside.code(email), sent.code);
    assert.equal((await admin.auth.verifyMagicCode(email, sent.code)).id, user.id);
    const used = await rejection(admin.auth.verifyMagicCode(email, sent.code));
    assert.equal(used.body.hint['record-type'], 'app-user-magic-code');
  });

  test('[A61] the mail names the app and holds the code in words', async () => {
    const email = 'dora@example.com';
    const { code } = await admin.auth.sendMagicCode(email);
    const [mail] = await outside.mails(email);
    assert.ok(mail.subject.startsWith(code), mail.subject);
    assert.match(mail.subject, /interop/);
    assert.ok(mail.text.includes(code), mail.text);
  });

  test('[A76] deleteUser answers who it was, ends its tokens, and null afterwards', async () => {
    const token = await admin.auth.createToken({ email: 'eve@example.com' });
    const gone = await admin.auth.deleteUser({ email: 'eve@example.com' });
    assert.equal(gone.email, 'eve@example.com');
    assert.equal(await admin.auth.deleteUser({ id: gone.id }), null);
    const refused = await rejection(admin.auth.verifyToken(token));
    assert.equal(refused.body.hint['record-type'], 'app-user');
  });

  test('[A74] signOut by address, id and token', async () => {
    const email = 'finn@example.com';
    const tokens = [];
    for (let made = 0; made < 4; made += 1) tokens.push(await admin.auth.createToken({ email }));
    const finn = await admin.auth.getUser({ email });
    await admin.auth.signOut({ refresh_token: tokens[0] });
    await rejection(admin.auth.verifyToken(tokens[0]), 'the token that was signed out');
    assert.equal((await admin.auth.verifyToken(tokens[1])).id, finn.id);
    await admin.auth.signOut(email);
    await rejection(admin.auth.verifyToken(tokens[1]), 'all tokens of the address');
    const last = await admin.auth.createToken({ id: finn.id });
    await admin.auth.signOut({ id: finn.id });
    await rejection(admin.auth.verifyToken(last), 'all tokens of the id');
    const unknown = await rejection(admin.auth.signOut({ email: 'nobody@example.com' }));
    assert.equal(unknown.body.type, 'record-not-found');
  });

  test('[A70] these routes take the admin token and nothing else', async () => {
    const stranger = createAdmin(server, app, { adminToken: id() });
    const refused = await rejection(stranger.auth.getUser({ id: ann.id }));
    assert.equal(refused.body.hint['record-type'], 'app-admin-token');
    assert.equal((await rejection(stranger.auth.createToken({ id: ann.id }))).status, 400);
  });
});

describe('acting as somebody', () => {
  const texts = async (db) => (await db.query({ notes: {} })).notes.map((note) => note.text);

  test('line 85: as-email, as-token, as-guest, none, with the admin token', async () => {
    assert.deepEqual(await texts(admin), ['hers']);
    assert.deepEqual(await texts(admin.asUser({ email: 'ann@example.com' })), ['hers']);
    assert.deepEqual(await texts(admin.asUser({ token: annToken })), ['hers']);
    assert.deepEqual(await texts(admin.asUser({ guest: true })), []);
  });

  test('line 85: without it, none and as-email fail', async () => {
    const bare = createAdmin(server, app, { adminToken: null });
    assert.deepEqual(await texts(bare.asUser({ token: annToken })), ['hers']);
    assert.deepEqual(await texts(bare.asUser({ guest: true })), []);
    // The client does not even ask; others do.
    for (const headers of [{}, { 'as-email': 'ann@example.com' }]) {
      for (const [route, body] of [
        ['query', { query: { notes: {} } }],
        ['transact', { steps: [['update', 'notes', id(), { text: 'x' }]] }],
      ]) {
        const refused = await post(`${server.url}/admin/${route}`, body, {
          'app-id': app.id,
          ...headers,
        });
        assert.equal(refused.status, 400, refused.text);
        assert.equal(refused.body.type, 'param-missing');
        assert.deepEqual(refused.body.hint.in, ['headers', 'authorization']);
      }
    }
  });

  test('writes are judged as that user’s', async () => {
    const as = admin.asUser({ email: 'ann@example.com' });
    const own = id();
    await as.transact(as.tx.notes[own].create({ text: 'own', owner: ann.id }));
    const refused = await rejection(
      as.transact(as.tx.notes[id()].create({ text: 'not hers', owner: id() })),
    );
    assert.equal(refused.body.type, 'permission-denied');
    await admin.transact(admin.tx.notes[own].delete());
  });

  test('[A25] subscribeQuery as a user shows what that user may see, and follows', async () => {
    const seen = [];
    const as = admin.asUser({ email: 'ann@example.com' });
    const subscription = as.subscribeQuery({ notes: {} }, (payload) => seen.push(payload));
    // One iterator for all: what arrives between two of them is nobody's.
    const payloads = subscription[Symbol.asyncIterator]();
    const take = async (count) => {
      for (;;) {
        const { value, done } = await within(payloads.next(), `an answer of ${count}`);
        assert.equal(done, false);
        if (value.data?.notes.length === count) return;
      }
    };
    await take(1);
    const extra = id();
    await admin.transact([
      admin.tx.notes[id()].create({ text: 'of nobody', owner: id() }),
      admin.tx.notes[extra].create({ text: 'another', owner: ann.id }),
    ]);
    await take(2);
    subscription.close();
    assert.equal(JSON.stringify(seen).includes('of nobody'), false);
    await admin.transact(admin.tx.notes[extra].delete());
  });
});
