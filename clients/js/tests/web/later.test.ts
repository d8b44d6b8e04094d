import { beforeEach, expect, test, vi } from 'vitest';
import { webEnvironment } from '../../src/web/environment.ts';

const code = vi.hoisted(() => ({ comes: true }));

vi.mock('../../src/client/code.ts', () => ({
  fetchLater: () =>
    code.comes ? import('../../src/client/later.ts') : Promise.reject(new Error('no chunk')),
}));

beforeEach(() => {
  code.comes = true;
});

/** A browser that hears one event of a stream. */
function browser(more: object = {}) {
  const bytes = new TextEncoder().encode('data: {"op": "sse-init"}\n\n');
  let reads = 0;
  const read = () =>
    ++reads > 1 ? new Promise(() => {}) : Promise.resolve({ done: false, value: bytes });
  const fetch = vi.fn(async (_url: string) => ({
    status: 200,
    body: { getReader: () => ({ read }) },
  }));
  const globals = {
    fetch,
    AbortController,
    TextDecoder,
    setTimeout,
    clearTimeout,
    crypto,
    ...more,
  };
  return { fetch, environment: webEnvironment(globals as never) };
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
};

function listener() {
  const heard: string[] = [];
  return {
    heard,
    opened: () => void heard.push('opened'),
    message: (text: string) => void heard.push(text),
    closed: (code: number) => void heard.push(`closed ${code}`),
  };
}

test('[J300] an event stream is opened once its code is there', async () => {
  const { environment, fetch } = browser();
  const handlers = listener();
  const socket = environment.socket('http://test/sse', handlers);
  socket.send('lost, as on any socket that is not open');
  expect(fetch).not.toHaveBeenCalled();
  await turns();
  expect(handlers.heard).toEqual(['opened']);
  socket.close();
  expect(handlers.heard).toEqual(['opened', 'closed 1000']);
});

test('[J300] one that was closed before is not opened', async () => {
  const { environment, fetch } = browser();
  const handlers = listener();
  environment.socket('http://test/sse', handlers).close();
  await turns();
  expect(fetch).not.toHaveBeenCalled();
  expect(handlers.heard).toEqual(['closed 1006']);
});

test('[J301] without its code it is closed as one that could not be opened', async () => {
  code.comes = false;
  const { environment } = browser();
  const handlers = listener();
  environment.socket('http://test/sse', handlers);
  await turns();
  expect(handlers.heard).toEqual(['closed 1006']);
});

test('[J300] a page is idle when the browser says so, or after a while', () => {
  const told: string[] = [];
  const requestIdleCallback = (then: () => void) => then();
  browser({ requestIdleCallback }).environment.onIdle!(() => told.push('idle'));
  expect(told).toEqual(['idle']);
  const later: [() => void, number][] = [];
  const setTimeout = (then: () => void, ms: number) => later.push([then, ms]);
  browser({ setTimeout }).environment.onIdle!(() => told.push('after a while'));
  expect(told).toEqual(['idle']);
  expect(later.map(([, ms]) => ms)).toEqual([2_000]);
  later[0]![0]();
  expect(told).toEqual(['idle', 'after a while']);
});
