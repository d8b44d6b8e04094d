// Who is signed in, on the other ways to the server: event streams, pages made by a server, pages
// of an endless list.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/core';
import { EventSource } from 'eventsource';
import { answer, createCore, watch } from './support/clients.mjs';
import { startProxy } from './support/proxy.mjs';
import { ANN, BOB, createRuledApp, schema } from './support/ruled-app.mjs';
import { post, startServer } from './support/server.mjs';
import { rejection, until } from './support/wait.mjs';

const MINE = { books: { allow: { $default: 'auth.id != null && auth.id == data.owner' } } };

let server;
let stage;

before(async () => {
  server = await startServer();
  stage = await createRuledApp(server, MINE);
  await stage.add('books', { title: 'hers' }, { owner: stage.ids.ann });
  await stage.add('books', { title: 'his' }, { owner: stage.ids.bob });
});
after(() => server?.stop());

const titles = (answered) => answered.data?.books?.map((book) => book.title).sort();

describe('event streams', () => {
  test('[P56, P59] a client on one is its user, and is signed out', async () => {
    const proxy = await startProxy(server);
    proxy.refuseWebSockets();
    const { db, reactor, close } = createCore(proxy, stage.app, { schema, EventSource });
    try {
      const token = await stage.admin.auth.createToken({ email: ANN });
      await db.auth.signInWithToken(token);
      const books = watch(db, { books: {} });
      const shows = (...wanted) =>
        answer(books, (a) => String(titles(a)) === String(wanted), `${wanted}`);
      await shows('hers');
      assert.equal(reactor._transport.type, 'sse');
      const made = id();
      await db.transact(
        db.tx.books[made].create({ title: 'streamed' }).link({ owner: stage.ids.ann }),
      );
      await shows('hers', 'streamed');
      const refused = await rejection(db.transact(db.tx.books[id()].create({ title: 'free' })));
      assert.match(refused.message, /^Permission denied/);
      await shows('hers', 'streamed');
      await stage.admin.auth.signOut({ refresh_token: token });
      await until(async () => (await db.getAuth()) === null, 'sign-out');
      await answer(books, (a) => titles(a)?.length === 0, 'nothing');
      await stage.admin.transact(stage.admin.tx.books[made].delete());
    } finally {
      close();
      await proxy.close?.();
    }
  });
});

describe('pages made by a server', () => {
  test('[A25] /runtime/framework/query answers as the user of its token', async () => {
    const ask = async (authorization) => {
      const { status, text } = await post(
        `${server.url}/runtime/framework/query`,
        { query: { books: {} } },
        { 'app-id': stage.app.id, authorization },
      );
      assert.equal(status, 200, text);
      return ['hers', 'his'].filter((title) => text.includes(`"${title}"`));
    };
    assert.deepEqual(await ask(`Bearer ${stage.tokens[ANN]}`), ['hers']);
    assert.deepEqual(await ask(`Bearer ${stage.tokens[BOB]}`), ['his']);
    for (const nobody of ['undefined', 'Bearer undefined', `Bearer ${id()}`, 'Bearer x'])
      assert.deepEqual(await ask(nobody), [], nobody);
    // The admin token is no refresh token: a page made with it by mistake shows nothing.
    assert.deepEqual(await ask(`Bearer ${stage.app.adminToken}`), []);
  });

  test('[A21] getUserFromRequest reads the cookie and asks whether the token is good', async () => {
    const request = (cookie) => new Request('https://site.example/', { headers: { cookie } });
    const cookieOf = (token) =>
      `other=1; instant_user_${stage.app.id}=${encodeURIComponent(
        JSON.stringify({ id: 'forged', refresh_token: token }),
      )}`;
    const user = await stage.admin.auth.getUserFromRequest(request(cookieOf(stage.tokens[ANN])));
    assert.equal(user.id, stage.ids.ann);
    await rejection(stage.admin.auth.getUserFromRequest(request(cookieOf(id()))));
    assert.equal(await stage.admin.auth.getUserFromRequest(request('other=1')), null);
  });
});

describe('an endless list', () => {
  test('[R71] its pages are full of visible rows, and grow at the head with them', async () => {
    const page = 4;
    const { tx } = stage.admin;
    const make = (year, owner) =>
      tx.books[id()].create({ title: 'endless', year }).link({ owner });
    for (let year = 0; year < 12; year += 1)
      await stage.admin.transact(make(year, year % 2 ? stage.ids.bob : stage.ids.ann));
    const core = await stage.connect(ANN);
    const answers = [];
    const where = { title: 'endless' };
    const query = { books: { $: { where, limit: page, order: { year: 'desc' } } } };
    const { loadNextPage, unsubscribe } = core.db.subscribeInfiniteQuery(query, (a) =>
      answers.push(a),
    );
    const shown = () => answers.at(-1)?.data?.books.map((book) => book.year) ?? [];
    const shows = (...years) =>
      until(
        () => String(shown()) === String(years),
        () => `${years}; shown ${shown()} ${JSON.stringify(answers.at(-1)?.error)}`,
      );
    await shows(10, 8, 6, 4);
    loadNextPage();
    await shows(10, 8, 6, 4, 2, 0);
    await stage.admin.transact(make(13, stage.ids.bob));
    await stage.admin.transact(make(14, stage.ids.ann));
    await shows(14, 10, 8, 6, 4, 2, 0);
    unsubscribe();
    core.close();
  });
});
