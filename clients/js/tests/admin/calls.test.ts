import { expect, test } from 'vitest';
import { AdminDatabase } from '../../src/admin/database.ts';
import { TriceError } from '../../src/errors.ts';
import { HttpStage, type Scripted } from '../support/http-stage.ts';

const CONFIG = { appId: ' app ', adminToken: ' secret\n', server: 'https://data.test/' };
const ADMIN = { 'app-id': 'app', authorization: 'Bearer secret' };

function open(answer?: Scripted) {
  const stage = new HttpStage();
  if (answer) stage.answer = () => answer;
  return { stage, db: new AdminDatabase(CONFIG, stage.environment) };
}

test('[J110] a query and a write say what they ask for, by name', async () => {
  const { stage, db } = open({ json: { 'tx-id': 3 } });
  await db.query({ todos: { $: { where: { at: new Date(0) } } } }, { ruleParams: { k: 1 } });
  expect(stage.last).toMatchObject({
    method: 'POST',
    path: '/admin/query',
    headers: { ...ADMIN, 'content-type': 'application/json' },
    json: {
      query: {
        $$ruleParams: { k: 1 },
        todos: { $: { where: { at: '1970-01-01T00:00:00.000Z' } } },
      },
      'inference?': false,
    },
  });
  const schema = { entities: {}, links: {} };
  const typed = new AdminDatabase({ ...CONFIG, schema }, stage.environment);
  await typed.query({});
  expect(stage.last.json['inference?']).toBe(true);
  const write = [typed.tx.a!['1']!.update({ x: 1 }), typed.tx.b!['2']!.link({ a: '1' })];
  expect(await typed.transact(write)).toEqual({ 'tx-id': 3 });
  expect(stage.last.json).toEqual({
    steps: [
      ['update', 'a', '1', { x: 1 }],
      ['link', 'b', '2', { a: '1' }],
    ],
    'throw-on-missing-attrs?': true,
  });
  await expect(db.transact({} as never)).rejects.toMatchObject({ code: 'transaction-malformed' });
});

test('[J112] only data and files are asked for as the user', async () => {
  const { stage, db } = open({ json: { user: null, sessions: null, data: null } });
  const as = db.asUser({ email: 'ann@example.com' });
  for (const call of [
    () => as.query({}),
    () => as.transact([]),
    () => as.debugQuery({}),
    () => as.debugTransact([]),
    () => as.storage.list(),
    () => as.storage.getDownloadUrl('a'),
    () => as.storage.uploadFile('a', 'b'),
    () => as.storage.delete('a'),
    () => as.storage.deleteMany(['a']),
  ]) {
    await call();
    expect(stage.last.headers).toMatchObject({ ...ADMIN, 'as-email': 'ann@example.com' });
  }
  await as.auth.getUser({ id: 'x' });
  expect(stage.last.headers).toEqual(ADMIN);
  await as.rooms.getPresence('a', 'b');
  expect(stage.last.headers).toEqual(ADMIN);
  expect(as.asUser({ token: 't' })).toBeInstanceOf(AdminDatabase);
  await db.query({});
  expect(stage.last.headers).not.toHaveProperty('as-email');
});

test('[J112] what needs the admin token is refused before anything leaves', async () => {
  const stage = new HttpStage();
  const db = new AdminDatabase({ appId: 'app' }, stage.environment);
  const refused = { code: 'admin-token-missing' };
  await expect(db.query({})).rejects.toMatchObject(refused);
  await expect(db.asUser({ email: 'a@b.c' }).transact([])).rejects.toMatchObject(refused);
  await expect(db.auth.getUser({ id: 'x' })).rejects.toMatchObject(refused);
  expect(() => db.subscribeQuery({})).toThrow(TriceError);
  expect(stage.sent).toEqual([]);
  await db.asUser({ token: 'mine' }).query({});
  expect(stage.last.headers).toEqual({
    'app-id': 'app',
    'as-token': 'mine',
    'content-type': 'application/json',
  });
  expect(() => new AdminDatabase({ appId: ' ' }, stage.environment)).toThrow(/appId/);
});

test('[J111] errors are the server’s, or say why there is no answer', async () => {
  const abort = Object.assign(new Error('x'), { name: 'AbortError' });
  for (const [answer, error] of [
    [
      { status: 400, json: { type: 'param-missing', message: 'm', hint: null, 'trace-id': 't' } },
      { code: 'param-missing', message: 'm', hint: undefined, traceId: 't', status: 400 },
    ],
    [
      { status: 502, text: '<h1>Bad gateway</h1>' },
      { code: 'unknown', message: 'The server answered 502: <h1>Bad gateway</h1>', status: 502 },
    ],
    [
      { status: 500, json: ['?'] },
      { code: 'unknown', status: 500 },
    ],
    [
      { status: 200, text: '<html>' },
      { code: 'answer-malformed', status: 200 },
    ],
    [new TypeError('fetch failed'), { code: 'offline' }],
    [abort, { code: 'cancelled' }],
  ] as const) {
    const { db } = open(answer);
    const failed = db.query({});
    await expect(failed).rejects.toBeInstanceOf(TriceError);
    await expect(failed).rejects.toMatchObject(error);
  }
});

test('[J120] names of rooms and users are encoded', async () => {
  const { stage, db } = open({ json: {} });
  expect(await db.rooms.getPresence('a&b', 'c=d e/ü#')).toEqual({});
  expect(stage.last.params).toEqual({ 'room-type': 'a&b', 'room-id': 'c=d e/ü#' });
  await db.auth.getUser({ email: 'a+b@c.d' });
  expect(stage.last.params).toEqual({ email: 'a+b@c.d' });
});

test('[J119] a stream goes out as one, with its length where it is known', async () => {
  const { stage, db } = open({ json: { data: {} } });
  async function* chunks() {
    yield new Uint8Array([1]);
  }
  const source = chunks();
  await db.storage.uploadFile('ä', source, {
    ...{ fileSize: 1, contentType: 'a/b', contentDisposition: 'attachment' },
  });
  expect(stage.last.init).toMatchObject({
    method: 'PUT',
    duplex: 'half',
    body: { pieces: source },
    headers: {
      path: 'Ã¤',
      'content-length': '1',
      'content-type': 'a/b',
      'content-disposition': 'attachment',
    },
  });
  const web = new ReadableStream();
  await db.storage.uploadFile('a', web);
  expect(stage.last.init.duplex).toBe('half');
  expect(stage.last.init.body).toBe(web);
  const bytes = new Uint8Array([1]);
  await db.storage.uploadFile('a', bytes);
  expect(stage.last.init.body).toBe(bytes);
  expect(stage.last.init).not.toHaveProperty('duplex');
  for (const [path, file] of [
    ['a\nb', bytes],
    ['a', null],
  ] as const)
    await expect((async () => db.storage.uploadFile(path, file as object))()).rejects.toThrow(
      TriceError,
    );
});

test('[J118] a cookie is believed only if it may be', async () => {
  const { stage, db } = open({ json: { user: { id: 'verified' } } });
  const user = { id: 'u', refresh_token: 't' };
  const request = (cookie: string) => ({ headers: new Headers({ cookie }) });
  const cookie = `instant_user_app=${encodeURIComponent(JSON.stringify(user))}`;
  const believed = { disableValidation: true };
  expect(await db.auth.getUserFromRequest(request(cookie), believed)).toEqual(user);
  expect(stage.sent).toEqual([]);
  expect(await db.auth.getUserFromRequest(request(`x=1; ${cookie}`))).toEqual({ id: 'verified' });
  expect(stage.last.json).toEqual({ 'app-id': 'app', 'refresh-token': 't' });
  for (const other of ['', 'instant_user_app=', 'instant_user_app=1', 'xinstant_user_app=1'])
    expect(await db.auth.getUserFromRequest(request(other), believed)).toBe(null);
});
