// Who changes what, through the official clients: lines 70-77 and 84 of the conformance list.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id, lookup } from '@instantdb/admin';
import { connectCore } from './support/clients.mjs';
import { RawSession } from './support/raw.mjs';
import { ANN, createRuledApp, outcome } from './support/ruled-app.mjs';
import { startServer } from './support/server.mjs';
import { rejection } from './support/wait.mjs';

let server;
let stage;
let tx;

before(async () => {
  server = await startServer();
  stage = await createRuledApp(server);
  tx = stage.admin.tx;
});
after(() => server?.stop());

const as = async (who, chunks) => outcome(stage[who].transact(chunks));
const find = async (etype, entity) =>
  (await stage.admin.query({ [etype]: { $: { where: { id: entity } } } }))[etype][0];

describe('update, create, delete', () => {
  test('[R100, R101] line 70: newData has all that the transaction does to an entity', async () => {
    const book = await stage.add('books', { title: 'a', note: 'n', year: 1 });
    await stage.use({
      books: { allow: { update: 'newData.note == data.note && newData.year == data.year + 1' } },
    });
    const steps = (note, year) => [
      tx.books[book].update({ title: 'b' }),
      tx.books[book].update({ note }),
      tx.books[book].merge({ year }),
    ];
    assert.equal(await as('ann', steps('n', 2)), 'ok');
    assert.equal(await as('ann', steps('m', 3)), 'permission-denied');
    assert.equal(await as('ann', steps('n', 2)), 'permission-denied');
    assert.equal((await find('books', book)).note, 'n');
  });

  test('[R102, R118] a denial says which rule, on what, and nothing was written', async () => {
    await stage.use({ books: { allow: { create: 'auth.id == data.owner' } } });
    const [mine, other] = [id(), id()];
    const steps = [
      tx.books[mine].create({ title: 'mine' }).link({ owner: stage.ids.ann }),
      tx.books[other].create({ title: 'other' }),
    ];
    const error = await rejection(stage.ann.transact(steps));
    assert.equal(error.status, 400);
    assert.equal(error.body.type, 'permission-denied');
    assert.match(error.body.message, /^Permission denied: not perms-pass\?/);
    assert.deepEqual(error.body.hint.input, ['books', 'object']);
    assert.equal(await find('books', mine), undefined);
    assert.equal(await as('ann', steps[0]), 'ok');
  });

  test('[R103] line 71: create and delete are asked of each namespace an id is in', async () => {
    await stage.use({ logs: { allow: { create: 'false', delete: 'false' } } });
    const both = id();
    const inTwo = [tx.books[both].update({ title: 'b' }), tx.logs[both].update({ line: 'l' })];
    assert.equal(await as('ann', inTwo), 'permission-denied');
    assert.equal(await as('ann', inTwo[0]), 'ok');
    await stage.admin.transact(inTwo[1]);
    const gone = [tx.books[both].delete(), tx.logs[both].delete()];
    assert.equal(await as('ann', gone), 'permission-denied');
    assert.equal(await as('ann', gone[0]), 'ok');
    assert.notEqual(await find('logs', both), undefined);
  });

  test('[R113] line 76: deleting what is not there asks delete too', async () => {
    await stage.use({ books: { allow: { delete: 'false' } } });
    assert.equal(await as('ann', tx.books[id()].delete()), 'permission-denied');
    await stage.use({ books: { allow: { delete: 'data.title == null' } } });
    assert.equal(await as('ann', tx.books[id()].delete()), 'ok');
  });

  test('[R105] line 77: modifiedFields are exactly the labels written, without id', async () => {
    const book = await stage.add('books', { title: 'a', note: 'n', year: 1 });
    await stage.use({
      books: {
        allow: {
          update: 'request.modifiedFields.all(field, field in ["title", "note"])',
          create: 'size(request.modifiedFields) == 2',
          view: 'size(request.modifiedFields) == 0',
        },
      },
    });
    const update = (values) => as('ann', tx.books[book].update(values));
    assert.equal(await update({ title: 'b' }), 'ok');
    assert.equal(await update({ title: 'b', note: 'm', id: book }), 'ok');
    assert.equal(await update({ title: 'b', year: 2 }), 'permission-denied');
    assert.equal(await as('ann', tx.books[book].merge({ year: 1 })), 'permission-denied');
    assert.equal(await as('ann', tx.books[id()].create({ title: 'b', note: 'm' })), 'ok');
    assert.equal(await as('ann', tx.books[id()].create({ title: 'b' })), 'permission-denied');
    const { books } = await stage.ann.query({ books: { $: { where: { id: book } } } });
    assert.equal(books.length, 1);
  });

  test('[R115] lookups are judged as the entity found, or the one created', async () => {
    await stage.use({
      books: { allow: { update: 'data.note == "free"', create: 'newData.note == "new"' } },
    });
    await stage.add('books', { isbn: 'free', note: 'free' });
    await stage.add('books', { isbn: 'taken', note: 'taken' });
    const at = (isbn, values) => as('ann', tx.books[lookup('isbn', isbn)].update(values));
    assert.equal(await at('free', { title: 'x' }), 'ok');
    assert.equal(await at('taken', { title: 'x' }), 'permission-denied');
    assert.equal(await at('unknown', { title: 'x' }), 'permission-denied');
    assert.equal(await at('unknown', { note: 'new' }), 'ok');
  });

  test('[R114, R56] ruleParams belong to the entity they are given to', async () => {
    const [one, two] = [
      await stage.add('books', { note: 'k1' }),
      await stage.add('books', { note: 'k1' }),
    ];
    await stage.use({ books: { allow: { update: 'ruleParams.key == data.note' } } });
    const open = tx.books[one].ruleParams({ key: 'k1' }).update({ title: 'x' });
    assert.equal(await as('guest', open), 'ok');
    assert.equal(await as('guest', tx.books[one].update({ title: 'y' })), 'permission-denied');
    assert.equal(
      await as('guest', [open, tx.books[two].update({ title: 'y' })]),
      'permission-denied',
    );
  });
});

describe('attrs', () => {
  test('[R117] line 72: adding attrs asks attrs.create', async () => {
    await stage.use({ attrs: { allow: { create: 'false' } } });
    const book = await stage.add('books', { title: 'a' });
    // Without a schema the browser's client makes the attrs it misses.
    const { db, close } = await connectCore(server, stage.app);
    const refused = await rejection(db.transact(db.tx.books[book].update({ brandNew: 1 })));
    assert.match(refused.message, /^Permission denied/);
    assert.deepEqual(refused.hint.input, ['attrs', 'attr']);
    await db.transact(db.tx.books[book].update({ title: 'b' }));
    await stage.use(null);
    await db.transact(db.tx.books[book].update({ brandNew: 1 }));
    assert.equal((await find('books', book)).brandNew, 1);
    close();
  });

  test('[R117] line 72: changing and deleting attrs is for admins', async () => {
    await stage.use({ attrs: { allow: { $default: 'true' } } });
    const init = { 'refresh-token': stage.tokens[ANN] };
    const session = await RawSession.connect(server, stage.app.id, { init });
    const line = session.attr('logs', 'line');
    for (const step of [
      ['delete-attr', line],
      ['update-attr', { id: line, 'index?': true }],
    ]) {
      const refused = await session.transact([step]);
      assert.equal(refused.op, 'error', JSON.stringify(refused));
      assert.equal(refused.type, 'permission-denied', JSON.stringify(refused));
    }
    session.close();
    await stage.admin.transact(tx.logs[id()].update({ line: 'still here' }));
    assert.equal((await stage.admin.query({ logs: {} })).logs.at(-1).line, 'still here');
  });
});

// Line 73. `null` is no rule, "yes" and "no" are rules for linking, "key" asks for a rule param.
const RULES = { yes: 'true', no: 'false', key: 'ruleParams.key == "k"' };

describe('links', () => {
  test('[R107, R108, R109] line 73: each pair of rules, from either end', async () => {
    const decisions = [null, 'yes', 'no'];
    const ways = {
      'from the book': (book, shelf) => tx.books[book].link({ shelf: shelf.id }),
      'from the shelf': (book, shelf) => tx.shelves[shelf.id].link({ books: book }),
      'to a lookup': (book, shelf) => tx.books[book].link({ shelf: lookup('name', shelf.name) }),
      'of a new book': (_, shelf) => tx.books[id()].create({}).link({ shelf: shelf.id }),
    };
    let count = 0;
    for (const forward of decisions)
      for (const reverse of decisions)
        for (const isUpdated of [true, false])
          for (const isViewed of [true, false]) {
            const { newShelf, newBook } = await linkable();
            await stage.use(linkRules({ forward, reverse, isUpdated, isViewed }));
            const hasRule = forward !== null || reverse !== null;
            const isLinked = hasRule ? forward !== 'no' && reverse !== 'no' : isUpdated && isViewed;
            const isCreated = hasRule ? isLinked : isViewed;
            for (const [way, chunk] of Object.entries(ways)) {
              const expected = way === 'of a new book' ? isCreated : isLinked;
              const said = JSON.stringify({ forward, reverse, isUpdated, isViewed, way });
              const result = await as('ann', chunk(await newBook(), await newShelf()));
              assert.equal(result, expected ? 'ok' : 'permission-denied', said);
              count += 1;
            }
          }
    assert.equal(count, 144);
  });

  test('[R114] line 73: ruleParams of either end reach the rules of both', async () => {
    for (const [forward, reverse] of [
      ['key', null],
      [null, 'key'],
      ['key', 'key'],
    ]) {
      const { newShelf, newBook } = await linkable();
      await stage.use(linkRules({ forward, reverse, isUpdated: false, isViewed: false }));
      const given = { key: 'k' };
      const [book, shelf] = [await newBook(), await newShelf()];
      const link = tx.books[book].link({ shelf: shelf.id });
      const said = JSON.stringify({ forward, reverse });
      assert.equal(await as('ann', link), 'permission-denied', said);
      const ofBook = tx.books[book].ruleParams(given);
      assert.equal(await as('ann', [ofBook, link]), 'ok', said);
      const ofShelf = tx.shelves[shelf.id].ruleParams(given);
      assert.equal(await as('ann', [ofShelf, link]), 'ok', said);
    }
  });

  test('[R110] line 74: the side of a target that does not exist is not checked', async () => {
    const { newBook } = await linkable();
    await stage.use(linkRules({ forward: 'yes', reverse: 'no' }));
    assert.equal(await as('ann', tx.books[await newBook()].link({ shelf: id() })), 'ok');
    await stage.use(linkRules({ isUpdated: true, isViewed: false }));
    assert.equal(await as('ann', tx.books[await newBook()].link({ shelf: id() })), 'ok');
  });

  test('[R109] rules for links see both ends, and which of them existed', async () => {
    const { newShelf, newBook } = await linkable();
    const isNew = 'actions.data == "create" && actions.linkedData == "update"';
    const shelfRule = `linkedData.room == "hall" && ${isNew}`;
    await stage.use({ books: { allow: { link: { shelf: shelfRule } } } });
    const shelf = await newShelf('hall');
    const created = tx.books[id()].create({ title: 'x' });
    assert.equal(await as('ann', created.link({ shelf: shelf.id })), 'ok');
    const old = tx.books[await newBook()];
    assert.equal(await as('ann', old.link({ shelf: shelf.id })), 'permission-denied');
    const attic = await newShelf('attic');
    assert.equal(
      await as('ann', tx.books[id()].create({ title: 'x' }).link({ shelf: attic.id })),
      'permission-denied',
    );
  });

  test('[R111, R113] line 75: unlink asks unlink; deletes, cascades too, do not', async () => {
    const { newShelf, newBook } = await linkable();
    const shelf = await newShelf();
    const linked = async () => {
      const book = await newBook();
      await stage.admin.transact(tx.books[book].link({ shelf: shelf.id }));
      return book;
    };
    const [one, two] = [await linked(), await linked()];
    await stage.use({
      books: { allow: { unlink: { shelf: 'false' }, delete: 'data.title == ruleParams.title' } },
      shelves: { allow: { unlink: { books: 'false' }, delete: 'true' } },
    });
    assert.equal(await as('ann', tx.books[one].unlink({ shelf: shelf.id })), 'permission-denied');
    assert.equal(await as('ann', tx.shelves[shelf.id].unlink({ books: one })), 'permission-denied');
    assert.equal(await as('ann', tx.books[one].delete()), 'permission-denied');
    assert.equal(await as('ann', tx.books[one].ruleParams({ title: 'book' }).delete()), 'ok');
    assert.equal(await as('ann', tx.shelves[shelf.id].delete()), 'permission-denied');
    assert.notEqual(await find('books', two), undefined);
    const given = tx.shelves[shelf.id].ruleParams({ title: 'book' });
    assert.equal(await as('ann', given.delete()), 'ok');
    assert.equal(await find('books', two), undefined);
  });
});

describe('system columns', () => {
  test('[R119, R122] line 84: $users.email is closed, own columns follow rules', async () => {
    const { ann, bob } = stage.ids;
    await stage.use({ $users: { allow: { view: 'true', update: 'auth.id == data.id' } } });
    const email = await rejection(
      stage.ann.transact(tx.$users[ann].update({ email: 'new@example.com' })),
    );
    assert.equal(email.body.type, 'validation-failed');
    assert.match(email.body.message, /system column/);
    assert.equal(await as('ann', tx.$users[ann].update({ nickname: 'annie' })), 'ok');
    assert.equal(await as('ann', tx.$users[bob].update({ nickname: 'x' })), 'permission-denied');
    assert.equal((await find('$users', ann)).nickname, 'annie');
    for (const chunk of [tx.$users[id()].update({ nickname: 'x' }), tx.$users[bob].delete()])
      assert.notEqual(await as('ann', chunk), 'ok');
    await stage.admin.transact(tx.$users[ann].update({ email: 'new@example.com' }));
    assert.equal((await stage.admin.auth.getUser({ id: ann })).email, 'new@example.com');
    await stage.admin.transact(tx.$users[ann].update({ email: 'ann@example.com' }));
    const size = await rejection(stage.admin.transact(tx.$files[id()].update({ size: 1 })));
    assert.match(size.body.message, /\$files\.size is a system column/);
  });

  test('tables of sign-in stay closed, whatever $default says', async () => {
    await stage.use({ $default: { allow: { $default: 'true' } } });
    for (const etype of ['$magicCodes', '$userRefreshTokens', '$oauthClients', '$oauthCodes'])
      assert.deepEqual(await stage.ann.query({ [etype]: {} }), { [etype]: [] });
    const stolen = tx.$userRefreshTokens[id()].update({ hashedToken: 'x', $user: stage.ids.bob });
    assert.notEqual(await as('ann', stolen), 'ok');
    const links = { $userRefreshTokens: {}, $oauthUserLinks: {} };
    const nested = await stage.ann.query({ $users: links });
    for (const user of nested.$users)
      assert.deepEqual([user.$userRefreshTokens, user.$oauthUserLinks], [[], []]);
  });
});

/** No rules, and makers of books and shelves. */
async function linkable() {
  await stage.use(null);
  return {
    newBook: () => stage.add('books', { title: 'book' }),
    newShelf: async (room = 'hall') => {
      const name = id();
      return { name, id: await stage.add('shelves', { name, room }) };
    },
  };
}

function linkRules({ forward = null, reverse = null, isUpdated = true, isViewed = true }) {
  return {
    books: {
      allow: {
        create: 'true',
        update: String(isUpdated),
        ...(forward && { link: { shelf: RULES[forward] } }),
      },
    },
    shelves: {
      allow: {
        view: String(isViewed),
        update: 'false',
        ...(reverse && { link: { books: RULES[reverse] } }),
      },
    },
  };
}
