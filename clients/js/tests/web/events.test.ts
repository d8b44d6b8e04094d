import { expect, test } from 'vitest';
import { EventParser, openEvents } from '../../src/web/events.ts';
import { Random } from '../support/random.ts';

const URL = 'http://test/runtime/sse?app_id=app';
const INIT = { op: 'sse-init', 'machine-id': 'm', 'session-id': 's', 'sse-token': 't' };
const TICKET = { machine_id: 'm', session_id: 's', sse_token: 't' };

/** A server of one event stream: it takes pushes one by one, when the test says so. */
class Stream {
  readonly heard: string[] = [];
  readonly pushes: Record<string, unknown>[] = [];
  isAborted = false;
  #feed: (chunk: { done: boolean; value?: Uint8Array }) => void = () => {};
  #answer: (status: number) => void = () => {};
  readonly socket;

  constructor(status = 200, hasBody = true) {
    const isAborted = () => (this.isAborted = true);
    const read = () =>
      new Promise<{ done: boolean; value?: Uint8Array }>((resolve) => {
        this.#feed = resolve;
      });
    const text = async () => '{}';
    const fetch = (_: string, init: object) => {
      const { method, body } = init as { method?: string; body: string };
      if (method !== 'POST') {
        const answer = { status, text, body: hasBody ? { getReader: () => ({ read }) } : null };
        return Promise.resolve(answer);
      }
      this.pushes.push(JSON.parse(body) as Record<string, unknown>);
      return new Promise<{ status: number; text: typeof text }>((resolve) => {
        this.#answer = (pushed) => resolve({ status: pushed, text });
      });
    };
    const AbortController = class {
      readonly signal = {};
      abort(): void {
        isAborted();
      }
    };
    this.socket = openEvents({ fetch, AbortController, TextDecoder }, URL, {
      opened: () => this.heard.push('opened'),
      message: (message) => this.heard.push(message),
      closed: (code) => this.heard.push(`closed ${code}`),
    });
  }

  async sends(text: string): Promise<void> {
    await turns();
    this.#feed({ done: false, value: new TextEncoder().encode(text) });
    await turns();
  }

  async ends(): Promise<void> {
    await turns();
    this.#feed({ done: true });
    await turns();
  }

  async answers(status: number): Promise<void> {
    this.#answer(status);
    await turns();
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

async function opened(): Promise<Stream> {
  const stream = new Stream();
  await stream.sends(`retry: 500\n\ndata: ${JSON.stringify(INIT)}\n\n`);
  expect(stream.heard).toEqual(['opened']);
  return stream;
}

test('[J132] it is open once the server named the session; events are messages', async () => {
  const stream = await opened();
  await stream.sends('data: {"op":"init-ok"}\n\ndata: {"op":"re');
  await stream.sends('fresh-ok"}\n\n');
  expect(stream.heard.slice(1)).toEqual(['{"op":"init-ok"}', '{"op":"refresh-ok"}']);
});

test('[J132] messages are pushed in order, one push at a time', async () => {
  const stream = await opened();
  stream.socket.send('{"n":1}');
  stream.socket.send('{"n":2}');
  await turns();
  stream.socket.send('{"n":3}');
  stream.socket.send('{"n":4}');
  await turns();
  expect(stream.pushes).toEqual([{ ...TICKET, messages: [{ n: 1 }, { n: 2 }] }]);
  await stream.answers(200);
  expect(stream.pushes[1]).toEqual({ ...TICKET, messages: [{ n: 3 }, { n: 4 }] });
});

test('[J132] a push holds 1 MiB, or one message that is longer', async () => {
  const stream = await opened();
  const texts = [5, 2_000_000, 600_000, 600_000].map((length) =>
    JSON.stringify('x'.repeat(length)),
  );
  for (const text of texts) stream.socket.send(text);
  for (let count = 0; count < 4; count++) {
    await turns();
    await stream.answers(200);
  }
  const sizes = stream.pushes.map(({ messages }) => (messages as string[]).map((m) => m.length));
  expect(sizes).toEqual([[5], [2_000_000], [600_000], [600_000]]);
});

test('[J132] a refused push, and the end of the stream, end the connection once', async () => {
  const refused = await opened();
  refused.socket.send('{}');
  await turns();
  await refused.answers(400);
  await refused.ends();
  expect(refused.heard.slice(1)).toEqual(['closed 1006']);
  expect(refused.isAborted).toBe(true);
  const ended = await opened();
  await ended.ends();
  expect(ended.heard.slice(1)).toEqual(['closed 1006']);
});

test('[J132] nothing is heard or pushed after it is closed', async () => {
  const stream = await opened();
  stream.socket.close();
  stream.socket.send('{}');
  await stream.sends('data: {}\n\n');
  expect(stream.heard.slice(1)).toEqual(['closed 1000']);
  expect(stream.pushes).toEqual([]);
});

test.each([
  [404, true],
  [200, false],
])('[J132] an answer %i, with a body: %s, is no stream', async (status, hasBody) => {
  const stream = new Stream(status, hasBody);
  await turns();
  expect(stream.heard).toEqual(['closed 1006']);
});

test('[J132] events are the same however the text is cut', () => {
  const random = new Random(11);
  const text =
    ': note\n\ndata: {"a":1}\n\ndata:{"b":2}\r\n\r\nevent: x\nid: 3\ndata: one\ndata:  two\n\n\n';
  for (let round = 0; round < 200; round++) {
    const found: string[] = [];
    const parser = new EventParser((data) => found.push(data));
    for (let at = 0; at < text.length;) {
      const end = at + 1 + random.below(9);
      parser.feed(text.slice(at, end));
      at = end;
    }
    expect(found).toEqual(['{"a":1}', '{"b":2}', 'one\n two']);
  }
});
