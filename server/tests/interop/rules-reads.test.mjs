// Who sees what, through the official clients: lines 63-69 and 78-84 of the conformance list.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/admin';
import { createRuledApp, outcome } from './support/ruled-app.mjs';
import { post, startServer } from './support/server.mjs';
import { rejection } from './support/wait.mjs';

let server;
let stage;

before(async () => {
  server = await startServer();
  stage = await createRuledApp(server);
});
after(() => server?.stop());

const titles = (answer) => answer.books.map((book) => book.title).sort();
const seenBy = async (db, query = { books: {} }, options) => titles(await db.query(query, options));

/** Only these books, and these rules. */
async function shelve(rules, ...books) {
  await stage.use(null);
  const { books: old, shelves } = await stage.admin.query({ books: {}, shelves: {} });
  const { tx } = stage.admin;
  const steps = [
    ...old.map((book) => tx.books[book.id].delete()),
    ...shelves.map((shelf) => tx.shelves[shelf.id].delete()),
  ];
  if (steps.length > 0) await stage.admin.transact(steps);
  const ids = [];
  for (const [fields, links] of books) ids.push(await stage.add('books', fields, links));
  await stage.use(rules);
  return ids;
}

describe('where no rule speaks', () => {
  test('[R2, R46] line 63: open, but $users is oneself and $files nothing', async () => {
    await shelve(null, [{ title: 'open' }]);
    assert.deepEqual(await seenBy(stage.guest), ['open']);
    const made = id();
    await stage.guest.transact(stage.guest.tx.books[made].create({ title: 'by a guest' }));
    assert.deepEqual(await seenBy(stage.bob), ['by a guest', 'open']);
    const emails = async (db) => (await db.query({ $users: {} })).$users.map((user) => user.email);
    assert.deepEqual(await emails(stage.ann), ['ann@example.com']);
    assert.deepEqual(await emails(stage.guest), []);
    assert.deepEqual(await stage.ann.query({ $files: {} }), { $files: [] });
  });

  test('[R1] line 64: $default closes, what is more specific opens, in that order', async () => {
    const all = { create: 'false', update: 'false', delete: 'false' };
    const cases = [
      [{ $default: { allow: { $default: 'false' } } }, false],
      [{ $default: { allow: { $default: 'false', view: 'true' } } }, true],
      [{ $default: { allow: { view: 'true' } }, books: { allow: { $default: 'false' } } }, false],
      [{ $default: { allow: { view: 'false' } }, books: { allow: { $default: 'true' } } }, true],
      [{ books: { allow: { $default: 'true', view: 'false' } } }, false],
      [{ books: { allow: { $default: 'false', view: 'true' } } }, true],
      [{ books: { allow: all } }, true],
    ];
    for (const [rules, isSeen] of cases) {
      await shelve(rules, [{ title: 'it' }]);
      assert.deepEqual(await seenBy(stage.ann), isSeen ? ['it'] : [], JSON.stringify(rules));
    }
    await stage.use({ $default: { allow: { $default: 'false' } } });
    assert.deepEqual(await stage.ann.query({ $users: {}, logs: {} }), { $users: [], logs: [] });
    assert.equal(
      await outcome(stage.ann.transact(stage.ann.tx.logs[id()].create({ line: 'x' }))),
      'permission-denied',
    );
  });
});

describe('results of rules', () => {
  test('[R57] line 65: false and null hide, every other value shows', async () => {
    for (const [view, isSeen] of [
      ['false', false],
      ['data.note', false],
      ['null', false],
      ['data.title', true],
      ['""', true],
      ['0', true],
      ['[]', true],
    ]) {
      await shelve({ books: { allow: { view } } }, [{ title: 'it' }]);
      assert.deepEqual(await seenBy(stage.ann), isSeen ? ['it'] : [], view);
    }
  });

  test('[R58, R60] line 66: a rule that fails is an error of the query, live too', async () => {
    await shelve({ books: { allow: { view: 'data.note.x == 1' } } }, [{ title: 'it' }]);
    const error = await rejection(stage.ann.query({ books: {} }));
    assert.equal(error.status, 400);
    assert.equal(error.body.type, 'permission-evaluation-failed');
    assert.deepEqual(error.body.hint.rule, ['books', 'view']);
    const core = await stage.connect();
    const failed = await rejection(core.db.queryOnce({ books: {} }));
    assert.match(failed.message, /books/);
    core.close();
  });

  test('[R7] line 79: JSON true and false are rules', async () => {
    for (const [view, seen] of [
      [true, ['it']],
      [false, []],
    ]) {
      await shelve({ books: { allow: { view } } }, [{ title: 'it' }]);
      assert.deepEqual(await seenBy(stage.ann), seen);
    }
  });

  test('[R10, R11, R12] line 80: binds listed, named, nested, inherited, unused', async () => {
    const view = 'isMine';
    const nested = ['me', 'auth.id', 'isMine', 'isSignedIn && me == data.owner', 'unused', 'true'];
    for (const rules of [
      { books: { bind: [...nested, 'isSignedIn', 'me != null'], allow: { view } } },
      {
        books: {
          bind: { isMine: 'isSignedIn && auth.id == data.owner', isSignedIn: 'auth.id != null' },
          allow: { view },
        },
      },
      {
        $default: { bind: { isMine: 'false', isSignedIn: 'auth.id != null' } },
        books: { bind: nested, allow: { view } },
      },
    ]) {
      await shelve(rules, [{ title: 'hers' }, { owner: stage.ids.ann }], [{ title: 'free' }]);
      assert.deepEqual(await seenBy(stage.ann), ['hers'], JSON.stringify(rules));
      assert.deepEqual(await seenBy(stage.bob), []);
      assert.deepEqual(await seenBy(stage.guest), []);
    }
  });
});

describe('what hides with an entity', () => {
  test('[Q93] line 67: a parent is not found by an attr of a hidden entity', async () => {
    await shelve({ shelves: { allow: { view: 'data.room == "hall"' } } });
    const [hall, attic] = [
      await stage.add('shelves', { name: 'one', room: 'hall' }),
      await stage.add('shelves', { name: 'two', room: 'attic' }),
    ];
    await stage.add('books', { title: 'in the hall' }, { shelf: hall });
    await stage.add('books', { title: 'in the attic' }, { shelf: attic });
    const byName = (name) => ({ books: { $: { where: { 'shelf.name': name } } } });
    assert.deepEqual(await seenBy(stage.ann, byName('one')), ['in the hall']);
    assert.deepEqual(await seenBy(stage.ann, byName('two')), []);
    assert.deepEqual(await seenBy(stage.admin, byName('two')), ['in the attic']);
    const nested = await stage.ann.query({ books: { shelf: {} } });
    const attical = nested.books.find((book) => book.title === 'in the attic');
    assert.equal(attical.shelf ?? null, null);
    assert.equal(nested.books.find((book) => book.title === 'in the hall').shelf.name, 'one');
  });

  test('[R87] line 69: a field rule hides the attr, in results and in conditions', async () => {
    const mine = { owner: stage.ids.ann };
    await shelve(
      { books: { fields: { price: 'auth.id == data.owner', note: 'auth.id == data.owner' } } },
      [{ title: 'hers', price: 5, note: 'n' }, mine],
      [{ title: 'free', price: 5, note: 'n' }],
    );
    const { books } = await stage.ann.query({ books: { $: { order: { title: 'asc' } } } });
    assert.deepEqual(
      books.map((book) => [book.title, book.price ?? null, 'note' in book]),
      [
        ['free', null, false],
        ['hers', 5, true],
      ],
    );
    assert.equal('price' in books[0], false);
    const where = (condition) => ({ books: { $: { where: condition } } });
    assert.deepEqual(await seenBy(stage.ann, where({ price: 5 })), ['hers']);
    assert.deepEqual(await seenBy(stage.ann, where({ price: { $gt: 1 } })), ['hers']);
    assert.deepEqual(await seenBy(stage.ann, where({ note: 'n' })), ['hers']);
    assert.deepEqual(await seenBy(stage.bob, where({ price: 5 })), []);
    const fields = { books: { $: { fields: ['price'] } } };
    const asked = (await stage.bob.query(fields)).books;
    assert.deepEqual(
      asked.map((book) => Object.keys(book)),
      [['id'], ['id']],
    );
  });

  test('[Q93] line 68: cursors are of visible rows, and a page is full', async () => {
    await shelve({ books: { allow: { view: 'data.isPublic == true' } } });
    const { tx } = stage.admin;
    await stage.admin.transact(
      Array.from({ length: 90 }, (_, year) =>
        tx.books[id()].create({ title: `t${year}`, year, isPublic: year % 3 === 1 }),
      ),
    );
    const core = await stage.connect();
    const page = (options) =>
      core.db.queryOnce({ books: { $: { order: { year: 'asc' }, ...options } } });
    const first = await page({ first: 20 });
    const yearsOf = (answer) => answer.data.books.map((book) => book.year);
    assert.deepEqual(
      yearsOf(first),
      Array.from({ length: 20 }, (_, at) => 3 * at + 1),
    );
    assert.equal(first.pageInfo.books.hasNextPage, true);
    assert.equal(first.pageInfo.books.hasPreviousPage, false);
    const [start, end] = [first.pageInfo.books.startCursor, first.pageInfo.books.endCursor];
    assert.deepEqual([start[0], end[0]], [first.data.books[0].id, first.data.books.at(-1).id]);
    const rest = await page({ first: 20, after: end });
    assert.deepEqual(
      yearsOf(rest),
      Array.from({ length: 10 }, (_, at) => 3 * at + 61),
    );
    assert.equal(rest.pageInfo.books.hasNextPage, false);
    const back = await page({ last: 20, before: rest.pageInfo.books.startCursor });
    assert.deepEqual(yearsOf(back), yearsOf(first));
    const limited = await page({ limit: 20, offset: 20 });
    assert.deepEqual(yearsOf(limited), yearsOf(rest));
    core.close();
  });

  test('[Q93, Q94] what is hidden cannot be told from what is not there', async () => {
    const rules = {
      books: { allow: { view: 'data.isPublic == true' }, fields: { price: 'data.year == 1' } },
    };
    const seen = { title: 'b', isPublic: true, year: 2, price: 7 };
    const questions = [
      { books: {} },
      { books: { $: { order: { title: 'desc' }, first: 1 } } },
      { books: { $: { order: { year: 'asc' }, first: 1 } } },
      { books: { $: { order: { price: 'asc' }, last: 1 } } },
      { books: { $: { limit: 1, offset: 1 } } },
      { books: { $: { where: { title: { $not: 'b' } } } } },
      { books: { $: { where: { price: { $isNull: true } } } } },
      { books: { $: { where: { price: { $not: 7 } } } } },
      { books: { $: { where: { shelf: { $isNull: true } } } } },
      { books: { $: { where: { or: [{ title: 'a' }, { title: 'b' }] } } } },
      { books: { $: { where: { 'shelf.name': { $like: '%' } } } } },
      { shelves: { $: { where: { 'books.title': 'a' } }, books: {} } },
      { shelves: { $: { where: { books: { $isNull: true } } } } },
      { shelves: { $: { where: { 'books.price': 9 } } } },
    ];
    const ask = async (core) => {
      const answers = [];
      for (const question of questions) answers.push(await core.db.queryOnce(question));
      return answers;
    };
    const [shown] = await shelve(rules, [seen]);
    const shelf = await stage.add('shelves', { name: 's' });
    const core = await stage.connect();
    const without = JSON.parse(JSON.stringify(await ask(core)));
    await stage.add('books', { title: 'a', year: 1, price: 9 }, { shelf });
    await stage.add('books', { title: 'z', isPublic: false, year: 3 });
    await stage.admin.transact(stage.admin.tx.books[shown].update({ price: 9 }));
    const others = await stage.connect();
    const beside = JSON.parse(JSON.stringify(await ask(others)));
    for (const [at, question] of questions.entries())
      assert.deepEqual(beside[at], without[at], JSON.stringify(question));
    core.close();
    others.close();
  });
});

describe('ruleParams', () => {
  test('[R56] a query brings its own; without them they are null', async () => {
    await shelve({ books: { allow: { view: 'ruleParams.key == data.note' } } }, [
      { title: 'shared', note: 'k1' },
    ]);
    assert.deepEqual(
      await seenBy(stage.guest, { books: {} }, { ruleParams: { key: 'k1' } }),
      ['shared'],
    );
    assert.deepEqual(await seenBy(stage.guest, { books: {} }, { ruleParams: { key: 'k2' } }), []);
    assert.deepEqual(await seenBy(stage.guest), []);
  });
});

describe('what saving refuses', () => {
  const refuse = async (code) => {
    const answer = await post(
      `${server.url}/dash/apps/${stage.app.id}/rules`,
      { code },
      { authorization: `Bearer ${stage.app.adminToken}` },
    );
    assert.equal(answer.status, 400, JSON.stringify(code));
    assert.equal(answer.body.type, 'validation-failed');
    assert.equal(answer.body.hint['data-type'], 'rule');
    return answer.body.hint.errors.map((error) => error.in);
  };
  const allow = (action, rule, more = {}) => ({ books: { allow: { [action]: rule }, ...more } });

  test('[R31] line 78: newData in view or delete, an unknown request field', async () => {
    for (const [action, rule] of [
      ['view', 'newData.title == "x"'],
      ['delete', 'newData.title == "x"'],
      ['view', 'linkedData.title == "x"'],
      ['update', 'request.method == "GET"'],
      ['view', 'data.title =='],
      ['view', 'nobody.id == 1'],
    ])
      assert.deepEqual(await refuse(allow(action, rule)), [['books', 'allow', action]], rule);
  });

  test('[R13, R23] line 80: odd, repeated and cyclic binds', async () => {
    assert.deepEqual(await refuse(allow('view', 'true', { bind: ['a'] })), [['books', 'bind']]);
    assert.deepEqual(await refuse(allow('view', 'true', { bind: ['a', 'true', 'a', 'false'] })), [
      ['books', 'bind', 'a'],
    ]);
    assert.deepEqual(await refuse(allow('view', 'a', { bind: ['a', 'b', 'b', 'a'] })), [
      ['books', 'allow', 'view'],
    ]);
  });

  test('[R33] line 81: auth.ref starts with $user.', async () => {
    assert.deepEqual(await refuse(allow('view', '"x" in auth.ref("books.title")')), [
      ['books', 'allow', 'view'],
    ]);
  });

  test('[R25, R26] line 82: system namespaces', async () => {
    const [[closed]] = await refuse({ $oauthClients: { allow: { view: 'true' } } });
    assert.equal(closed, '$oauthClients');
    assert.deepEqual(await refuse({ $users: { allow: { delete: 'true' } } }), [
      ['$users', 'allow', 'delete'],
    ]);
    const fine = { view: 'true', create: 'true', update: 'true', delete: 'false' };
    await stage.use({ $users: { allow: fine } });
    assert.equal((await stage.guest.query({ $users: {} })).$users.length, 2);
  });

  test('[R24] a field rule for id; a refusal leaves the rules that were in force', async () => {
    await shelve(allow('view', 'data.title == "seen"'), [{ title: 'seen' }], [{ title: 'not' }]);
    assert.deepEqual(await refuse({ books: { fields: { id: 'true' } } }), [['books', 'fields']]);
    assert.deepEqual(await seenBy(stage.guest), ['seen']);
    const pulled = await fetch(`${server.url}/dash/apps/${stage.app.id}/perms/pull`, {
      headers: { authorization: `Bearer ${stage.app.adminToken}` },
    });
    assert.deepEqual((await pulled.json()).perms, allow('view', 'data.title == "seen"'));
  });
});

describe('rate limits', () => {
  test('[R60, R82] line 83: 4 tokens, two rows: two queries, then 429', async () => {
    const rules = {
      $rateLimits: { views: { limits: [{ capacity: 4, refill: { period: '1 day' } }] } },
      books: { allow: { view: 'rateLimit.views.limit(auth.id)' } },
    };
    await shelve(rules, [{ title: 'a' }], [{ title: 'b' }]);
    assert.deepEqual(await seenBy(stage.ann), ['a', 'b']);
    assert.deepEqual(await seenBy(stage.ann), ['a', 'b']);
    const error = await rejection(stage.ann.query({ books: {} }));
    assert.equal(error.status, 429);
    assert.equal(error.body.type, 'rate-limited');
    const { hint } = error.body;
    assert.ok(hint['retry-after'] > 0 && hint['retry-after'] <= 86_400_000, JSON.stringify(hint));
    assert.ok(Date.parse(hint['retry-at']) > Date.now(), JSON.stringify(hint));
    assert.equal(hint['remaining-tokens'], 0);
    assert.deepEqual(await seenBy(stage.bob), ['a', 'b']);
    assert.deepEqual(await seenBy(stage.admin), ['a', 'b']);
    await stage.use(null);
  });

  test('a session is told of it as well', async () => {
    const rules = {
      $rateLimits: { writes: { limits: [{ capacity: 1 }] } },
      books: { allow: { create: 'rateLimit.writes.limit("all")' } },
    };
    await shelve(rules);
    const core = await stage.connect();
    const write = (title) => core.db.transact(core.db.tx.books[id()].create({ title }));
    await write('first');
    const error = await rejection(write('second'));
    assert.match(error.message, /rate limit/i);
    assert.ok(error.hint['retry-after'] > 0, JSON.stringify(error.hint));
    core.close();
  });
});
