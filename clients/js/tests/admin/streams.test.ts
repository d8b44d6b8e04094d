import { expect, test } from 'vitest';
import { AdminDatabase } from '../../src/admin/database.ts';
import type { Sink } from '../../src/http/environment.ts';
import { withoutBytes } from '../../src/values/utf8.ts';
import { utf8Bytes } from '../../src/values/utf8-bytes.ts';
import { HttpStage, type Scripted, type Sent, Wire } from '../support/http-stage.ts';
import { Random } from '../support/random.ts';

function open() {
  const stage = new HttpStage();
  const db = new AdminDatabase({ appId: 'app', adminToken: 'secret' }, stage.environment);
  return { stage, db };
}

/** The stage makes no streams: what they would read and write. */
const sinkOf = (stream: unknown) => stream as Sink;
const textsOf = (stream: unknown) => (stream as { pieces: AsyncIterable<string> }).pieces;

const reached = (sent: Sent) =>
  `${sent.method} ${sent.params.offset ?? ''} ${sent.init.body ?? ''}`;

/** A server of one stream, which loses requests or answers as the test says. */
class Shelf {
  text = '';
  isDone = false;
  isMade = false;
  /** What happens to the next requests. */
  readonly fates: ('lost' | 'deaf' | 'busy')[] = [];

  answer = (sent: Sent): Scripted => {
    const fate = this.fates.shift();
    if (fate === 'lost') return new TypeError('fetch failed');
    if (fate === 'busy') return { status: 503, json: { type: 'overloaded' } };
    const answer = this.#take(sent);
    return fate === 'deaf' ? new TypeError('fetch failed') : answer;
  };

  #take({ method, params, headers, init }: Sent): Scripted {
    if (method === 'PUT') this.isMade = true;
    if (method === 'PUT') return { json: null };
    const end = utf8Bytes(this.text);
    if (Number(params.offset) !== end || this.isDone) {
      const hint = { 'next-offset': end, done: this.isDone };
      return { status: 409, json: { type: 'stream-conflict', message: 'm', hint } };
    }
    this.text += String(init.body);
    this.isDone = headers['stream-closed'] === 'true';
    return { status: 204, text: '' };
  }
}

test('[J127] what is written while a request is under way leaves with the next', async () => {
  const { stage, db } = open();
  const shelf = new Shelf();
  stage.answer = shelf.answer;
  const waited: Promise<unknown>[] = [];
  const stream = db.streams.createWriteStream({
    clientId: 'a/b c',
    ruleParams: { k: 1 },
    waitUntil: (promise) => waited.push(promise),
  });
  const sink = sinkOf(stream);
  await Promise.all(['Hello ', 'wö', 'rld'].map((text) => sink.write(text)));
  await stage.settle();
  await sink.write('\ud83d');
  await stage.settle();
  await sink.write('\ude00!');
  await sink.close();
  await waited[0];
  expect(shelf).toMatchObject({ text: 'Hello wörld😀!', isDone: true });
  expect(stage.sent.map(reached)).toEqual([
    'PUT  ',
    'POST 0 Hello wörld',
    'POST 12 😀!',
    'POST 17 ',
  ]);
  expect(stage.sent[1]).toMatchObject({
    path: '/streams/app/a/b%20c',
    params: { 'rule-params': '{"k":1}' },
    headers: { authorization: 'Bearer secret', 'stream-token': 'id-0' },
  });
});

test('[J127] lost requests and lost answers leave every byte there once', async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(seed);
    const { stage, db } = open();
    const shelf = new Shelf();
    stage.answer = shelf.answer;
    const sink = sinkOf(db.streams.createWriteStream({ clientId: 'x' }));
    let written = '';
    for (let round = 0; round < 8; round++) {
      const text = random.pick(['a', 'ü', '😀', 'long '.repeat(50)]);
      if (random.chance(0.5)) shelf.fates.push(random.pick(['lost', 'deaf', 'busy'] as const));
      await sink.write(text);
      written += text;
      await stage.clock.pass(random.below(3) * 2_000);
    }
    const closed = sink.close();
    await stage.clock.pass(600_000);
    await closed;
    expect({ seed, text: shelf.text }).toEqual({ seed, text: written });
    expect(shelf.isDone).toBe(true);
  }
});

test('[J127] who writes faster than the server stores waits; a refusal ends it', async () => {
  const { stage, db } = open();
  let isOpen = false;
  const { fetch } = stage.environment;
  const held: (() => void)[] = [];
  Object.assign(stage.environment, {
    fetch: async (url: string, init: never) => {
      if (!isOpen) await new Promise<void>((resolve) => held.push(resolve));
      return fetch(url, init);
    },
  });
  const shelf = new Shelf();
  stage.answer = shelf.answer;
  const sink = sinkOf(db.streams.createWriteStream({ clientId: 'x' }));
  await sink.write('first');
  let hasRoom = false;
  const waiting = sink.write('x'.repeat(1024 * 1024)).then(() => (hasRoom = true));
  await stage.settle();
  expect(hasRoom).toBe(false);
  isOpen = true;
  for (const go of held) go();
  await stage.settle();
  await waiting;
  expect(hasRoom).toBe(true);
  expect(shelf.text).toHaveLength(1024 * 1024 + 5);

  stage.answer = () => ({ status: 400, json: { type: 'permission-denied', message: 'm' } });
  const ended: string[] = [];
  const waitUntil = (promise: Promise<unknown>) => void promise.then(() => ended.push('ended'));
  const refused = sinkOf(db.streams.createWriteStream({ clientId: 'y', waitUntil }));
  await refused.write('lost');
  await stage.settle();
  await expect(refused.write('more')).rejects.toMatchObject({ code: 'permission-denied' });
  await expect(refused.close()).rejects.toMatchObject({ code: 'permission-denied' });
  expect(ended).toEqual(['ended']);
  // Somebody else has made a stream of this name, which is empty.
  const hint = { 'next-offset': 0, done: false };
  stage.answer = () => ({ status: 409, json: { type: 'stream-conflict', message: 'm', hint } });
  const late = sinkOf(db.streams.createWriteStream({ clientId: 'z' }));
  await expect(late.close()).rejects.toMatchObject({ code: 'stream-conflict' });
  expect(stage.last.method).toBe('PUT');
  await expect(refused.write(new Uint8Array(1))).rejects.toMatchObject({
    code: 'stream-malformed',
  });
});

test('[J127] a reader goes on at the byte where its connection was lost', async () => {
  const { stage, db } = open();
  const wires: Wire[] = [];
  stage.answer = () => {
    const wire = new Wire();
    wires.push(wire);
    return wire;
  };
  const read: string[] = [];
  const all = (async () => {
    for await (const text of textsOf(db.streams.createReadStream({ clientId: 'x', byteOffset: 2 })))
      read.push(text);
  })();
  await stage.settle();
  expect(stage.last.params).toEqual({ offset: '2', live: 'chunked' });
  wires[0]!.send('üb');
  await stage.settle();
  wires[0]!.break();
  await stage.clock.pass(60_000);
  expect(stage.last.params.offset).toBe('5');
  // The server has lost the end, and begins before what was read.
  wires[1]!.headers = { 'stream-offset': '3' };
  wires[1]!.send('');
  wires[1]!.break();
  await stage.clock.pass(60_000);
  wires[2]!.send('er');
  wires[2]!.end();
  await stage.settle();
  await all;
  expect(read).toEqual(['üb', 'er']);
});

test('[J127] what was read is not told again by a server that begins earlier', async () => {
  const { stage, db } = open();
  const wire = new Wire();
  wire.headers = { 'stream-offset': '1' };
  stage.answer = () => wire;
  for (const text of ['ü', 'bé', 'r']) wire.send(text);
  wire.end();
  const read: string[] = [];
  for await (const text of textsOf(db.streams.createReadStream({ clientId: 'x', byteOffset: 4 })))
    read.push(text);
  expect(read).toEqual(['é', 'r']);
});

test('[J127] a stream is named by its row too; refusals are told, users have tokens', async () => {
  const { stage, db } = open();
  stage.answer = ({ path }) => {
    const wire = new Wire();
    wire.end();
    return path === '/admin/query' ? { json: { $streams: [{ clientId: 'its name' }] } } : wire;
  };
  const drain = async (stream: unknown) => {
    for await (const text of textsOf(stream)) expect(text).toBe('');
  };
  await drain(db.streams.createReadStream({ streamId: 'row' }));
  expect(stage.last.path).toBe('/streams/app/its%20name');
  await drain(db.asUser({ token: 'mine' }).streams.createReadStream({ clientId: 'x' }));
  expect(stage.last.headers).toEqual({ authorization: 'Bearer mine' });
  await drain(db.asUser({ guest: true }).streams.createReadStream({ clientId: 'x' }));
  expect(stage.last.headers).toEqual({});
  const byAddress = db.asUser({ email: 'a@b.c' }).streams;
  await expect(drain(byAddress.createReadStream({ clientId: 'x' }))).rejects.toMatchObject({
    code: 'token-missing',
  });
  await expect(drain(db.streams.createReadStream({}))).rejects.toMatchObject({
    code: 'stream-malformed',
  });
  stage.answer = () => ({ status: 404, json: { type: 'record-not-found', message: 'm' } });
  await expect(drain(db.streams.createReadStream({ clientId: 'x' }))).rejects.toMatchObject({
    code: 'record-not-found',
  });
});

test('[J127] bytes of texts are counted as they are sent', () => {
  for (const text of ['', 'a', 'ü', '写', '😀', '\ud83d', 'aü写😀b']) {
    expect(utf8Bytes(text)).toBe(new TextEncoder().encode(text).length);
    expect(withoutBytes(text, 0)).toBe(text);
    expect(withoutBytes(text, utf8Bytes(text))).toBe('');
  }
  expect(withoutBytes('aü写😀b', 3)).toBe('写😀b');
  expect(withoutBytes('aü写😀b', 6)).toBe('😀b');
});
