// Sign-in with the official core client: codes, guests, tokens, sign-out.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { i, id } from '@instantdb/core';
import { answer, connectCore, createAdmin, createCore, watch } from './support/clients.mjs';
import { saveRules, startOutside } from './support/outside.mjs';
import { serialisedSchema } from './support/schema.mjs';
import { createApp, startServer } from './support/server.mjs';
import { rejection, until } from './support/wait.mjs';

const schema = i.schema({
  entities: {
    $users: i.entity({
      email: i.string().unique().indexed().optional(),
      nickname: i.string().optional(),
      age: i.number().optional(),
    }),
    notes: i.entity({ text: i.string() }),
  },
  links: {
    // As the command line for schemas writes it down.
    $usersLinkedPrimaryUser: {
      forward: { on: '$users', has: 'one', label: 'linkedPrimaryUser', onDelete: 'cascade' },
      reverse: { on: '$users', has: 'many', label: 'linkedGuestUsers' },
    },
    notesOwner: {
      forward: { on: 'notes', has: 'one', label: 'owner' },
      reverse: { on: '$users', has: 'many', label: 'notes' },
    },
  },
});
const rules = {
  notes: {
    bind: { isMine: 'auth.id != null && auth.id == data.owner' },
    allow: { view: 'isMine', create: 'isMine', update: 'isMine', delete: 'isMine' },
  },
  $users: { allow: { create: 'data.nickname != "root"' } },
};

let server;
let app;
let admin;
let outside;
const open = [];

before(async () => {
  outside = await startOutside();
  server = await startServer({ env: outside.env });
  app = await createApp(server, { schema: serialisedSchema(schema), rules: { code: rules } });
  admin = createAdmin(server, app, { schema });
});
after(async () => {
  for (const core of open) core.close();
  await server?.stop();
  outside?.stop();
});

async function client(options) {
  const core = await connectCore(server, app, { schema, ...options });
  open.push(core);
  return core;
}

let emailCount = 0;
const freshEmail = () => `ann${(emailCount += 1)}@example.com`;

/** A client in which somebody new is signed in by code. */
async function signedIn(email = freshEmail(), options) {
  const core = await client(options);
  await core.db.auth.sendMagicCode({ email });
  const { user } = await core.db.auth.signInWithMagicCode({
    email,
    code: await outside.code(email),
  });
  return { ...core, user, email };
}

async function addNote(core, text) {
  const note = id();
  const owner = (await core.db.getAuth()).id;
  await core.db.transact(core.db.tx.notes[note].create({ text }).link({ owner }));
  return note;
}

/** Every state of `subscribeAuth`, newest last. */
function watchAuth(db) {
  const states = [];
  db.subscribeAuth((state) => states.push(state));
  return states;
}

const texts = (answered) => answered.data?.notes.map((note) => note.text).sort();
const isSignedOut = (core) => async () => (await core.db.getAuth()) === null;

describe('codes by e-mail', () => {
  test('[A1] a code signs up, then in; the session is the user from then on', async () => {
    const core = await client();
    const states = watchAuth(core.db);
    const email = freshEmail();
    assert.deepEqual(await core.db.auth.sendMagicCode({ email }), { sent: true });
    const code = await outside.code(email);
    const first = await core.db.auth.signInWithMagicCode({ email, code });
    assert.equal(first.created, true);
    assert.equal(first.user.email, email);
    assert.equal(first.user.type, 'user');
    assert.equal(first.user.isGuest, false);
    assert.equal(first.user.app_id, app.id);
    assert.ok(Number.isFinite(Date.parse(first.user.created_at)), first.user.created_at);
    await until(() => states.at(-1)?.user?.id === first.user.id, 'the auth subscription');
    assert.equal((await core.db.getAuth()).refresh_token, first.user.refresh_token);

    await addNote(core, 'mine');
    const notes = watch(core.db, { notes: {}, $users: {} });
    const seen = await answer(notes, (a) => a.data?.notes.length === 1);
    assert.deepEqual(
      seen.data.$users.map((user) => user.email),
      [email],
    );

    const other = await client();
    await other.db.auth.sendMagicCode({ email });
    const again = await other.db.auth.signInWithMagicCode({
      email,
      code: await outside.code(email, code),
    });
    assert.equal(again.created, false);
    assert.equal(again.user.id, first.user.id);
    assert.notEqual(again.user.refresh_token, first.user.refresh_token);
    await answer(watch(other.db, { notes: {} }), (a) => texts(a)?.[0] === 'mine');
  });

  test('[A42] a wrong code, and one used twice, are an error the page can show', async () => {
    const { db } = await client();
    const email = freshEmail();
    await db.auth.sendMagicCode({ email });
    const code = await outside.code(email);
    const wrong = code === '000000' ? '111111' : '000000';
    const refused = await rejection(db.auth.signInWithMagicCode({ email, code: wrong }));
    assert.equal(refused.body.type, 'record-not-found');
    assert.equal(refused.body.hint['record-type'], 'app-user-magic-code');
    assert.equal(await db.getAuth(), null);
    await db.auth.signInWithMagicCode({ email, code: ` ${code} ` });
    const twice = await rejection(db.auth.signInWithMagicCode({ email, code }));
    assert.equal(twice.body.hint['record-type'], 'app-user-magic-code');
    assert.equal((await db.getAuth()).email, email);
  });

  test('[A31] what is no address is refused before any mail', async () => {
    const { db } = await client();
    const refused = await rejection(db.auth.sendMagicCode({ email: 'ann' }));
    assert.equal(refused.status, 400);
    assert.equal(refused.body.type, 'param-malformed');
  });

  test('[A50] too many codes for one address: 429 rate-limited', async () => {
    const { db } = await client();
    const email = freshEmail();
    for (let sent = 0; sent < 20; sent += 1) await db.auth.sendMagicCode({ email });
    const refused = await rejection(db.auth.sendMagicCode({ email }));
    assert.equal(refused.status, 429);
    assert.equal(refused.body.type, 'rate-limited');
    assert.ok(refused.body.hint['retry-after'] > 0, JSON.stringify(refused.body.hint));
    await db.auth.sendMagicCode({ email: freshEmail() });
  });
});

describe('extra fields', () => {
  test('[A4, A5] are set at sign-up, and ignored afterwards', async () => {
    const core = await client();
    const email = freshEmail();
    await core.db.auth.sendMagicCode({ email });
    const code = await outside.code(email);
    const refused = await rejection(
      core.db.auth.signInWithMagicCode({ email, code, extraFields: { shoeSize: 42 } }),
    );
    assert.equal(refused.body.type, 'validation-failed');
    assert.match(JSON.stringify(refused.body.hint), /shoeSize/);
    const { user, created } = await core.db.auth.signInWithMagicCode({
      email,
      code,
      extraFields: { nickname: 'annie', age: 30 },
    });
    assert.equal(created, true);
    assert.deepEqual([user.nickname, user.age], ['annie', 30]);

    await core.db.auth.sendMagicCode({ email });
    const later = await core.db.auth.signInWithMagicCode({
      email,
      code: await outside.code(email, code),
      extraFields: { nickname: 'other', shoeSize: 42 },
    });
    assert.equal(later.created, false);
    assert.equal(later.user.nickname, 'annie');
  });

  test('[A2, A45] the sign-up rule judges them, and a refused code still works', async () => {
    const core = await client();
    const email = freshEmail();
    await core.db.auth.sendMagicCode({ email });
    const code = await outside.code(email);
    const refused = await rejection(
      core.db.auth.signInWithMagicCode({ email, code, extraFields: { nickname: 'root' } }),
    );
    assert.equal(refused.body.type, 'permission-denied');
    assert.deepEqual(refused.body.hint.input, ['$users', 'create']);
    const { user } = await core.db.auth.signInWithMagicCode({ email, code });
    assert.equal(user.email, email);
  });
});

describe('guests', () => {
  test('[A6] a guest who signs up keeps its id and what it wrote', async () => {
    const core = await client();
    const { user: guest } = await core.db.auth.signInAsGuest({ extraFields: { age: 5 } });
    assert.deepEqual([guest.type, guest.isGuest, guest.age], ['guest', true, 5]);
    assert.equal(guest.email ?? null, null);
    await addNote(core, 'as a guest');
    const email = freshEmail();
    await core.db.auth.sendMagicCode({ email });
    const code = await outside.code(email);
    const { user, created } = await core.db.auth.signInWithMagicCode({ email, code });
    assert.deepEqual([user.id, created, user.type, user.age], [guest.id, true, 'user', 5]);
    await answer(watch(core.db, { notes: {} }), (a) => texts(a)?.[0] === 'as a guest');
    assert.equal((await admin.auth.verifyToken(guest.refresh_token)).email, email);
  });

  test('[A7] one who signs in to an account is linked to it, and seen by it', async () => {
    const owner = await signedIn();
    const core = await client();
    const { user: guest } = await core.db.auth.signInAsGuest();
    const used = await outside.code(owner.email);
    await core.db.auth.sendMagicCode({ email: owner.email });
    const { user, created } = await core.db.auth.signInWithMagicCode({
      email: owner.email,
      code: await outside.code(owner.email, used),
    });
    assert.deepEqual([user.id, created], [owner.user.id, false]);
    const seen = await answer(
      watch(core.db, { $users: { linkedGuestUsers: {} } }),
      (a) => a.data?.$users.length === 2,
    );
    const self = seen.data.$users.find((found) => found.id === user.id);
    assert.deepEqual(
      self.linkedGuestUsers.map((found) => found.id),
      [guest.id],
    );
    const { $users } = await admin.query({
      $users: { $: { where: { id: guest.id } }, linkedPrimaryUser: {} },
    });
    assert.equal($users[0].linkedPrimaryUser.id, user.id);
  });
});

describe('tokens', () => {
  test('[A71] createToken makes the account; signInWithToken signs its user in', async () => {
    const email = freshEmail();
    const token = await admin.auth.createToken({ email });
    const core = await client();
    const { user } = await core.db.auth.signInWithToken(token);
    assert.deepEqual([user.email, user.refresh_token], [email, token]);
    await addNote(core, 'by token');
    await answer(watch(core.db, { notes: {} }), (a) => texts(a)?.[0] === 'by token');
  });

  test('[A21] unknown tokens leave everything as it was', async () => {
    const core = await signedIn();
    const refused = await rejection(core.db.auth.signInWithToken(id()));
    assert.equal(refused.body.hint['record-type'], 'app-user');
    assert.equal((await rejection(core.db.auth.signInWithToken('x'))).body.type, 'param-malformed');
    assert.equal((await core.db.getAuth()).id, core.user.id);
  });

  test('[P56] the same browser is signed in after a restart, offline too', async () => {
    const shared = new Map();
    const core = await signedIn(undefined, { shared });
    const note = await addNote(core, 'kept');
    await answer(watch(core.db, { notes: {} }), (a) => a.data?.notes.length === 1);
    await until(() => core.reactor._pendingMutations().size === 0, 'the acknowledgement');
    await core.reactor.kv.flush();
    core.close();
    const later = createCore(server, app, { schema, shared });
    open.push(later);
    assert.equal((await later.db.getAuth()).id, core.user.id);
    await answer(watch(later.db, { notes: {} }), (a) => a.data?.notes[0]?.id === note);
  });
});

describe('sign-out', () => {
  test('[A22] ends this client’s token and no other; private rows are gone at once', async () => {
    const one = await signedIn();
    const two = await client();
    await two.db.auth.signInWithToken(await admin.auth.createToken({ email: one.email }));
    await addNote(one, 'private');
    const [mine, theirs] = [watch(one.db, { notes: {} }), watch(two.db, { notes: {} })];
    await answer(mine, (a) => texts(a)?.[0] === 'private');
    await answer(theirs, (a) => texts(a)?.[0] === 'private');
    await one.db.auth.signOut();
    assert.equal(await one.db.getAuth(), null);
    await answer(mine, (a) => a.data?.notes.length === 0, 'nothing for nobody');
    const gone = await until(
      () => admin.auth.verifyToken(one.user.refresh_token).then(() => null, (error) => error),
      'the end of the token',
    );
    assert.equal(gone.body.hint['record-type'], 'app-user');
    assert.equal((await two.db.getAuth()).id, one.user.id);
    await addNote(two, 'still here');
    await answer(theirs, (a) => texts(a)?.length === 2);
  });

  test('with invalidateToken: false the token goes on working', async () => {
    const core = await signedIn();
    await core.db.auth.signOut({ invalidateToken: false });
    const { user } = await core.db.auth.signInWithToken(core.user.refresh_token);
    assert.equal(user.id, core.user.id);
  });

  test('[A74, P59] everywhere, by the admin: each client signs itself out', async () => {
    const one = await signedIn();
    const two = await client();
    await two.db.auth.signInWithToken(await admin.auth.createToken({ email: one.email }));
    const bystander = await signedIn();
    await addNote(one, 'private');
    const notes = watch(two.db, { notes: {} });
    await answer(notes, (a) => texts(a)?.[0] === 'private');
    await admin.auth.signOut({ email: one.email });
    await until(isSignedOut(one), 'the first client to be signed out');
    await until(isSignedOut(two), 'the second client to be signed out');
    await answer(notes, (a) => a.data?.notes.length === 0, 'nothing for nobody');
    assert.equal((await bystander.db.getAuth()).id, bystander.user.id);
  });

  test('[A23, P59] a deleted user is signed out, its guests with it', async () => {
    const core = await signedIn();
    assert.equal((await admin.auth.deleteUser({ id: core.user.id })).email, core.email);
    await until(isSignedOut(core), 'the client to be signed out');
  });

  test('a change of user settles what was under way as failed, and sends it no more', async () => {
    const core = await signedIn();
    core.network.set(false);
    const late = core.db.transact(core.db.tx.notes[id()].create({ text: 'late' }));
    assert.equal((await late).status, 'enqueued');
    await core.db.auth.signOut();
    core.network.set(true);
    await until(() => core.reactor.status === 'authenticated', 'the connection');
    const { notes } = await admin.query({ notes: { $: { where: { text: 'late' } } } });
    assert.deepEqual(notes, []);
  });
});

describe('sign-up closed', () => {
  test('[A2] no account is made, whoever asks; existing ones enter', async () => {
    const closed = { ...rules, $users: { allow: { create: 'false' } } };
    const email = freshEmail();
    const token = await admin.auth.createToken({ email });
    await saveRules(server, app, closed);
    try {
      const { db } = await client();
      const guest = await rejection(db.auth.signInAsGuest());
      assert.equal(guest.body.type, 'permission-denied');
      const stranger = freshEmail();
      await db.auth.sendMagicCode({ email: stranger });
      const code = await outside.code(stranger);
      const refused = await rejection(db.auth.signInWithMagicCode({ email: stranger, code }));
      assert.equal(refused.body.type, 'permission-denied');
      assert.equal(await admin.auth.getUser({ email: stranger }), null);
      assert.equal((await db.auth.signInWithToken(token)).user.email, email);
    } finally {
      await saveRules(server, app, rules);
    }
  });
});
