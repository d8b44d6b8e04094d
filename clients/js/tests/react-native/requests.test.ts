/** Event streams on XMLHttpRequest, as React Native has it. */
import { expect, test } from 'vitest';
import { requestGlobals, type RequestLike } from '../../src/react-native/requests.ts';
import { openEvents } from '../../src/web/events.ts';

const INIT = { op: 'sse-init', 'machine-id': 'm', 'session-id': 's', 'sse-token': 't' };

/** A request whose answer the test gives. As on React Native, a failed one has no status. */
class FakeRequest implements RequestLike {
  readyState = 0;
  status = 0;
  responseText = '';
  onreadystatechange: (() => void) | null = null;
  onprogress: (() => void) | null = null;
  onerror: (() => void) | null = null;
  ontimeout: (() => void) | null = null;
  method = '';
  body: string | undefined;
  isAborted = false;
  readonly headers: Record<string, string> = {};

  open(method: string): void {
    this.method = method;
  }

  setRequestHeader(name: string, value: string): void {
    this.headers[name] = value;
  }

  send(body?: string): void {
    this.body = body;
  }

  abort(): void {
    this.isAborted = true;
  }

  is(readyState: number, status = 200): void {
    [this.readyState, this.status] = [readyState, status];
    this.onreadystatechange?.();
  }

  comes(text: string): void {
    this.responseText += text;
    this.readyState = 3;
    this.onprogress?.();
  }

  fails(): void {
    [this.readyState, this.status] = [4, 0];
    this.onreadystatechange?.();
    this.onerror?.();
  }
}

function stream(charsMax?: number) {
  const requests: FakeRequest[] = [];
  class Requests extends FakeRequest {
    constructor() {
      super();
      requests.push(this);
    }
  }
  const heard: string[] = [];
  const socket = openEvents(requestGlobals(Requests, charsMax), 'http://test/sse', {
    opened: () => heard.push('opened'),
    message: (text) => heard.push(text),
    closed: (code) => heard.push(`closed ${code}`),
  });
  return { requests, heard, socket };
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

async function opened(charsMax?: number) {
  const all = stream(charsMax);
  const [request] = all.requests as [FakeRequest];
  request.is(2);
  request.comes(`data: ${JSON.stringify(INIT)}\n\n`);
  await turns();
  expect(all.heard).toEqual(['opened']);
  return { ...all, request };
}

test('[J209] messages come as they are sent, however they are cut', async () => {
  const { request, heard } = await opened();
  expect([request.method, request.headers.accept]).toEqual(['GET', 'text/event-stream']);
  request.comes('data: {"op":"init');
  await turns();
  expect(heard.length).toBe(1);
  request.comes('-ok"}\n\ndata: 2\n\n');
  request.comes('data: 3\n\n');
  await turns();
  expect(heard).toEqual(['opened', '{"op":"init-ok"}', '2', '3']);
});

test('[J209] what is sent is pushed with the ticket; a push that fails ends it', async () => {
  const { requests, heard, socket } = await opened();
  socket.send('{"op":"init"}');
  await turns();
  const push = requests[1]!;
  expect(push.method).toBe('POST');
  expect(JSON.parse(push.body!)).toMatchObject({ session_id: 's', messages: [{ op: 'init' }] });
  push.responseText = '{}';
  push.is(4);
  await turns();
  socket.send('{"op":"again"}');
  await turns();
  requests[2]!.is(4, 503);
  await turns();
  expect(heard).toEqual(['opened', 'closed 1006']);
  expect(requests[0]!.isAborted).toBe(true);
});

test('[J209] a network that fails, before or after it opened, closes it', async () => {
  const { requests, heard } = stream();
  requests[0]!.fails();
  await turns();
  expect(heard).toEqual(['closed 1006']);
  const { request, heard: later } = await opened();
  request.fails();
  await turns();
  expect(later).toEqual(['opened', 'closed 1006']);
});

test('[J209] one that is closed hears nothing more, and its request ends', async () => {
  const { request, heard, socket } = await opened();
  socket.close();
  request.comes('data: 2\n\n');
  await turns();
  expect(heard).toEqual(['opened', 'closed 1000']);
  expect(request.isAborted).toBe(true);
});

test('[J209] a response that grew too long ends, and what came is heard', async () => {
  const { request, heard } = await opened(1_000);
  request.comes(`data: ${'x'.repeat(2_000)}\n\n`);
  await turns();
  expect(heard).toEqual(['opened', 'x'.repeat(2_000), 'closed 1006']);
  expect(request.isAborted).toBe(true);
});
