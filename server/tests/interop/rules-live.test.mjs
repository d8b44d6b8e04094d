// Rules on open connections: denied writes roll back, rights that change change what is shown.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { answer, watch } from './support/clients.mjs';
import { RawSession } from './support/raw.mjs';
import { ANN, BOB, createRuledApp } from './support/ruled-app.mjs';
import { startServer } from './support/server.mjs';
import { rejection, until } from './support/wait.mjs';

const MINE = {
  books: {
    bind: { isMine: 'auth.id != null && auth.id == data.owner' },
    allow: { view: 'isMine || data.isPublic == true', $default: 'isMine' },
  },
};

let server;
let stage;
let open;

before(async () => {
  server = await startServer();
});
beforeEach(async () => {
  stage = await createRuledApp(server, MINE);
  open = [];
});
after(() => server?.stop());

async function connect(email) {
  const core = await stage.connect(email);
  open.push(core);
  return core;
}

/** Run `scene`, then close what it connected. */
const live = (title, scene) =>
  test(title, async () => {
    try {
      await scene();
    } finally {
      for (const each of open) each.close();
    }
  });

const titles = (answered) => answered.data?.books.map((book) => book.title).sort();
const shows = (watched, ...wanted) =>
  answer(watched, (a) => String(titles(a)) === String(wanted.sort()), `the books [${wanted}]`);
const addBook = (title, owner, more = {}) =>
  stage.add('books', { title, ...more }, owner ? { owner } : {});

describe('a denied write', () => {
  live('shows at once, fails with the reason, and is gone; the next one works', async () => {
    const { ann, bob } = stage.ids;
    const his = await addBook('his', bob, { isPublic: true });
    const core = await connect(ANN);
    const books = watch(core.db, { books: {} });
    await shows(books, 'his');
    const { db } = core;
    const refused = rejection(db.transact(db.tx.books[his].update({ title: 'mine now' })));
    const isShown = () => books.answers.some((a) => titles(a)[0] === 'mine now');
    await until(isShown, 'the write on screen');
    const error = await refused;
    assert.match(error.message, /^Permission denied: not perms-pass\?/);
    assert.deepEqual(error.hint.input, ['books', 'object']);
    await shows(books, 'his');
    assert.equal(core.reactor._pendingMutations().size, 0);

    await rejection(db.transact(db.tx.books[id()].create({ title: 'of nobody' })));
    await rejection(db.transact(db.tx.books[his].delete()));
    await shows(books, 'his');
    await db.transact(db.tx.books[id()].create({ title: 'mine' }).link({ owner: ann }));
    await shows(books, 'his', 'mine');
    assert.deepEqual(titles({ data: await stage.admin.query({ books: {} }) }), ['his', 'mine']);
  });

  live('made offline is refused after the reconnection, and those beside it arrive', async () => {
    const { ann, bob } = stage.ids;
    const his = await addBook('his', bob, { isPublic: true });
    const core = await connect(ANN);
    const books = watch(core.db, { books: {} });
    await shows(books, 'his');
    core.network.set(false);
    const { db } = core;
    await db.transact(db.tx.books[his].update({ title: 'stolen' }));
    await db.transact(db.tx.books[id()].create({ title: 'mine' }).link({ owner: ann }));
    await shows(books, 'mine', 'stolen');
    core.network.set(true);
    await shows(books, 'his', 'mine');
    const stored = async () => titles({ data: await stage.admin.query({ books: {} }) });
    await until(async () => String(await stored()) === 'his,mine', 'the accepted write');
  });
});

describe('rights that change', () => {
  live('[P57] saved rules hold for open queries at once', async () => {
    await addBook('hers', stage.ids.ann);
    await addBook('his', stage.ids.bob);
    await addBook('shown', null, { isPublic: true });
    const [one, two] = [await connect(ANN), await connect()];
    const [hers, guests] = [watch(one.db, { books: {} }), watch(two.db, { books: {} })];
    await shows(hers, 'hers', 'shown');
    await shows(guests, 'shown');
    await stage.use({ books: { allow: { view: 'auth.id != null' } } });
    await shows(hers, 'hers', 'his', 'shown');
    await shows(guests);
    await stage.use(MINE);
    await shows(hers, 'hers', 'shown');
    await shows(guests, 'shown');
  });

  live('[P58] a role taken away is gone with the next message', async () => {
    await stage.use({ books: { allow: { view: 'auth.role == "librarian"' } } });
    await addBook('secret');
    const core = await connect(ANN);
    const books = watch(core.db, { books: {} });
    await shows(books);
    const setRole = (role) =>
      stage.admin.transact(stage.admin.tx.$users[stage.ids.ann].update({ role }));
    await setRole('librarian');
    await shows(books, 'secret');
    await setRole('reader');
    await shows(books);
  });

  live('[L18] links that rules follow: an entity enters and leaves with its shelf', async () => {
    await stage.use({
      books: { allow: { view: '"hall" in data.ref("shelf.room")' } },
      shelves: { allow: { view: 'false' } },
    });
    const shelf = await stage.add('shelves', { name: 's', room: 'attic' });
    await stage.add('books', { title: 'on it' }, { shelf });
    const core = await connect(ANN);
    const books = watch(core.db, { books: {} });
    await shows(books);
    const move = (room) => stage.admin.transact(stage.admin.tx.shelves[shelf].update({ room }));
    await move('hall');
    await shows(books, 'on it');
    await move('attic');
    await shows(books);
  });

  live('[P56] another user on the same client sees only their own', async () => {
    await addBook('hers', stage.ids.ann);
    await addBook('his', stage.ids.bob);
    const core = await connect(ANN);
    const books = watch(core.db, { books: {} });
    await shows(books, 'hers');
    const before = books.answers.length;
    await core.db.auth.signInWithToken(stage.tokens[BOB]);
    await shows(books, 'his');
    const since = books.answers.slice(before).map(titles);
    assert.equal(JSON.stringify(since).includes('hers'), false, JSON.stringify(since));
  });

  live('[P60] a rule that fails is an error, until a good one answers', async () => {
    await addBook('shown', null, { isPublic: true });
    const core = await connect();
    const books = watch(core.db, { books: {} });
    await shows(books, 'shown');
    await stage.use({ books: { allow: { view: 'data.note.x == 1' } } });
    await answer(books, (a) => a.error, 'the error');
    await stage.use(MINE);
    await shows(books, 'shown');
  });
});

describe('ruleParams', () => {
  live('[R56] of a query and of a write, live', async () => {
    await stage.use({
      books: {
        bind: { isKnown: 'data.note == ruleParams.key' },
        allow: { view: 'isKnown', update: 'isKnown' },
      },
    });
    const book = await addBook('shared', null, { note: 'k' });
    const core = await connect();
    const known = watch(core.db, { books: {} }, { ruleParams: { key: 'k' } });
    const unknown = watch(core.db, { books: {} }, { ruleParams: { key: 'other' } });
    const none = watch(core.db, { books: {} });
    await shows(known, 'shared');
    await shows(unknown);
    await shows(none);
    const { tx } = core.db;
    await rejection(core.db.transact(tx.books[book].update({ title: 'denied' })));
    await core.db.transact(tx.books[book].ruleParams({ key: 'k' }).update({ title: 'renamed' }));
    await shows(known, 'renamed');
    await shows(unknown);
  });
});

describe('pages under rules', () => {
  live('[R71] a live page of 20 is full, and stays full as others hide', async () => {
    const { ann, bob } = stage.ids;
    const { tx } = stage.admin;
    const made = Array.from({ length: 80 }, (_, year) => ({ book: id(), year }));
    await stage.admin.transact(
      made.map(({ book, year }) =>
        tx.books[book]
          .create({ title: `t${year}`, year })
          .link({ owner: year % 2 === 0 ? ann : bob }),
      ),
    );
    const core = await connect(ANN);
    const page = watch(core.db, { books: { $: { order: { year: 'asc' }, first: 20 } } });
    const years = (a) => a.data?.books.map((book) => book.year);
    const even = (from) => Array.from({ length: 20 }, (_, at) => from + 2 * at);
    await answer(page, (a) => String(years(a)) === String(even(0)), 'the first 20 of hers');
    assert.equal(page.last().pageInfo.books.hasNextPage, true);
    await stage.admin.transact(tx.books[made[0].book].link({ owner: bob }));
    await answer(page, (a) => String(years(a)) === String(even(2)), 'the next 20 of hers');
  });
});

describe('what travels', () => {
  live('[R70] no frame of a session names what its user may not see', async () => {
    const secret = 'the butler did it';
    const init = { 'refresh-token': stage.tokens[ANN] };
    const session = await RawSession.connect(server, stage.app.id, { init });
    const questions = [
      { books: {} },
      { books: { $: { order: { title: 'asc' }, first: 2 } } },
      { books: { $: { where: { title: { $like: '%butler%' } } } } },
      { books: { owner: {}, shelf: { books: {} } } },
      { shelves: { books: {} } },
      { $users: { books: {} } },
    ];
    const hers = await addBook('hers', stage.ids.ann);
    for (const q of questions)
      assert.equal((await session.ask({ op: 'add-query', q })).op, 'add-query-ok');
    const shelf = await stage.add('shelves', { name: 's' });
    const hidden = await stage.add(
      'books',
      { title: secret, note: secret },
      { owner: stage.ids.bob, shelf },
    );
    const { tx } = stage.admin;
    await stage.admin.transact(tx.books[hers].update({ title: 'hers, changed' }).link({ shelf }));
    await stage.admin.transact(tx.books[hidden].update({ note: `${secret}, again` }));
    await stage.admin.transact(tx.books[hidden].update({ isPublic: true }));
    await session.next((m) => JSON.stringify(m).includes(secret), 'what became public');
    const before = session.received.findIndex((m) => JSON.stringify(m).includes(secret));
    const earlier = JSON.stringify(session.received.slice(0, before));
    assert.ok(earlier.includes('hers, changed'), 'the frames of her own');
    assert.equal(earlier.includes(hidden), false);
    assert.equal(earlier.includes(BOB), false);
    session.close();
  });
});
