import { beforeAll, expect, test } from 'vitest';
import type { ReadStream, WriteStream } from '../../src/client/streams.ts';
import { withoutBytes } from '../../src/values/utf8.ts';
import { utf8Bytes } from '../../src/values/utf8-bytes.ts';
import { Random, seeds } from '../support/random.ts';
import { Stage } from '../support/stage.ts';

beforeAll(() => import('../../src/streams/streams.ts'));

/** A stage whose server has streams. */
class StreamStage extends Stage {
  constructor(seed?: number) {
    super(seed);
    this.fetch = (url) => this.server.streams.fetch(url);
  }
}

interface Heard {
  text: string;
  /** `done`, or the code of the error. */
  end: string | undefined;
}

/** Reads a stream to its end. */
function listen(stream: ReadStream): Heard {
  const heard: Heard = { text: '', end: undefined };
  const read = async () => {
    for await (const text of stream) heard.text += text;
  };
  read().then(
    () => (heard.end = 'done'),
    ({ code }) => (heard.end = code as string),
  );
  return heard;
}

function writerOf(stream: WriteStream): WritableStreamDefaultWriter<string> {
  return (stream as WritableStream<string>).getWriter();
}

/** A promise's outcome: `done`, or the code of the error. */
function outcome(promise: Promise<unknown>): { end: string | undefined } {
  const seen: { end: string | undefined } = { end: undefined };
  promise.then(
    () => (seen.end = 'done'),
    ({ code }) => (seen.end = code as string),
  );
  return seen;
}

/** Time passes in small steps: streams of the platform take many turns. */
async function settle(stage: Stage): Promise<void> {
  for (let n = 0; n < 40; n++) await stage.clock.pass(500);
}

test('[J105] what one writes others read: at first, as it comes, and its end', async () => {
  const stage = new StreamStage();
  const db = stage.device();
  const output = db.streams.createWriteStream({ clientId: 's' });
  const writer = writerOf(output);
  const early = 'Hello wörld 😀, this is more than one part of the stream. ';
  await Promise.all([settle(stage), writer.write(early), writer.write('And ')]);
  const heard = listen(stage.device().streams.createReadStream({ clientId: 's' }));
  await settle(stage);
  expect(heard).toEqual({ text: `${early}And `, end: undefined });
  await Promise.all([settle(stage), writer.write('more.')]);
  expect(heard.text).toBe(`${early}And more.`);
  const closed = outcome(writer.close());
  await settle(stage);
  expect(closed.end).toBe('done');
  expect(heard.end).toBe('done');
  expect(stage.server.streams.streams.get('s')!.isDone).toBe(true);
  expect(await output.streamId()).toBe(stage.server.streams.streams.get('s')!.id);
});

test('[J105] a reader may begin at any byte, and hears nothing twice', async () => {
  const stage = new StreamStage();
  const db = stage.device();
  const writer = writerOf(db.streams.createWriteStream({ clientId: 's' }));
  const text = 'abcdefghij'.repeat(20);
  for (const at of [0, 50, 100, 150]) void writer.write(text.slice(at, at + 50));
  await settle(stage);
  for (const byteOffset of [0, 7, 50, 99, 199, 200]) {
    const heard = listen(stage.device().streams.createReadStream({ clientId: 's', byteOffset }));
    await settle(stage);
    expect(heard.text).toBe(text.slice(byteOffset));
  }
});

test('[J105] a mark of byte order at the start of a part is text', async () => {
  const stage = new StreamStage();
  const writer = writerOf(stage.device().streams.createWriteStream({ clientId: 's' }));
  void writer.write(`\ufeff${'x'.repeat(60)}`);
  await settle(stage);
  const heard = listen(stage.device().streams.createReadStream({ clientId: 's' }));
  await settle(stage);
  expect(heard.text).toBe(`\ufeff${'x'.repeat(60)}`);
});

test('[J106] a stream that is not there, or is another’s, says so', async () => {
  const stage = new StreamStage();
  const db = stage.device();
  const missing = listen(db.streams.createReadStream({ clientId: 'none' }));
  await settle(stage);
  expect(missing.end).toBe('validation-failed');
  expect(() => db.streams.createReadStream({})).toThrow(/clientId/);

  void writerOf(db.streams.createWriteStream({ clientId: 's' })).write('x');
  await settle(stage);
  const other = db.streams.createWriteStream({ clientId: 's' });
  const writer = writerOf(other);
  void writer.write('y');
  const closed = outcome(writer.closed);
  const id = outcome(other.streamId());
  await settle(stage);
  expect([closed.end, id.end]).toEqual(['validation-failed', 'validation-failed']);
  expect(stage.server.streams.text('s')).toBe('x');
});

test('[J107] a writer waits while 2 MiB are not durable', async () => {
  const stage = new StreamStage();
  stage.server.streams.flushBytes = Infinity;
  const writer = writerOf(stage.device().streams.createWriteStream({ clientId: 's' }));
  const writes = Array.from({ length: 5 }, () => outcome(writer.write('x'.repeat(1 << 19))));
  await settle(stage);
  expect(writes.map(({ end }) => end)).toEqual(['done', 'done', 'done', undefined, undefined]);
  const messages = stage.ops('append-stream').map(({ chunks }) => (chunks as string[]).join(''));
  expect(Math.max(...messages.map((text) => text.length))).toBeLessThanOrEqual(256 * 1024);
  // What was sent becomes durable when the connection of the writer is gone.
  stage.network.cutAll();
  await settle(stage);
  expect(writes.map(({ end }) => end)).toEqual(Array(5).fill('done'));
});

test('[J107] a reader that is 4 MiB behind is told no more until it has caught up', async () => {
  const stage = new StreamStage();
  stage.server.streams.flushBytes = 1 << 20;
  const writer = writerOf(stage.device().streams.createWriteStream({ clientId: 's' }));
  const stream = stage.device().streams.createReadStream({ clientId: 's' });
  await settle(stage);
  const text = 'x'.repeat(1 << 19);
  for (let n = 0; n < 16; n++) void writer.write(text);
  await settle(stage);
  expect(stage.ops('unsubscribe-stream')).toHaveLength(1);
  const heard = listen(stream);
  void writer.close();
  await settle(stage);
  expect(heard.end).toBe('done');
  expect(heard.text).toHaveLength(8 << 20);
});

test('[J107] who stops reading, or aborts the writing, tells the server', async () => {
  const stage = new StreamStage();
  const db = stage.device();
  const writer = writerOf(db.streams.createWriteStream({ clientId: 's' }));
  void writer.write('some');
  await settle(stage);
  const stream = stage.device().streams.createReadStream({ clientId: 's' });
  await settle(stage);
  void (stream as ReadableStream<string>).cancel();
  await settle(stage);
  expect(stage.ops('unsubscribe-stream')).toHaveLength(1);
  const aborted = outcome(writer.abort('enough'));
  await settle(stage);
  expect(aborted.end).toBe('done');
  expect(stage.server.streams.streams.get('s')).toMatchObject({ isDone: true, reason: 'enough' });
});

test.each(seeds(40))('[J108] readers have what was written (seed %i)', async (seed) => {
  const random = new Random(seed);
  const stage = new StreamStage(seed);
  stage.server.streams.failChance = 0.1;
  const writer = writerOf(stage.device().streams.createWriteStream({ clientId: 's' }));
  let written = '';
  const heard: { from: number; heard: Heard }[] = [];
  for (let step = 0; step < 60; step++) {
    const roll = random.next();
    if (roll < 0.6) {
      const text = random.pick(['a', 'ö', '😀', 'word ', 'x'.repeat(30), '\ufeffy']);
      written += text;
      void writer.write(text);
    } else if (roll < 0.7 && stage.server.streams.streams.has('s')) {
      const stream = stage.device().streams.createReadStream({ clientId: 's' });
      heard.push({ from: 0, heard: listen(stream) });
    } else if (roll < 0.76) stage.network.cutAll();
    else if (roll < 0.8) stage.network.silenceOne();
    else if (roll < 0.85) stage.network.isUp = random.chance(0.6);
    await stage.clock.pass(random.below(1_000));
  }
  stage.network.isUp = true;
  const closed = outcome(writer.close());
  for (let n = 0; n < 300 && !closed.end; n++) await stage.clock.pass(1_000);
  await settle(stage);
  expect(closed.end).toBe('done');
  expect(stage.server.streams.text('s')).toBe(written);
  await stage.clock.pass(60_000);
  for (const { heard: one } of heard) expect(one).toEqual({ text: written, end: 'done' });
});

test('[J105] bytes of UTF-8 are counted and dropped as the platform does', () => {
  const random = new Random(3);
  for (let n = 0; n < 300; n++) {
    const codes = Array.from({ length: random.below(12) }, () =>
      random.pick([random.below(0x80), random.below(0xd800), 0x10000 + random.below(0x1000)]),
    );
    const text = String.fromCodePoint(...codes);
    expect(utf8Bytes(text)).toBe(Buffer.byteLength(text));
    const at = random.below(codes.length + 1);
    const head = String.fromCodePoint(...codes.slice(0, at));
    const rest = String.fromCodePoint(...codes.slice(at));
    expect(withoutBytes(text, Buffer.byteLength(head))).toBe(rest);
  }
});
