import { expect, test } from 'vitest';
import { AdminDatabase } from '../../src/admin/database.ts';
import { EventReader } from '../../src/http/events.ts';
import { fetchEnvironment } from '../../src/web/fetch.ts';

type Globals = NonNullable<Parameters<typeof fetchEnvironment>[0]>;

/** A place that has what `fetchEnvironment` names, and nothing else. */
function place(fetch: (url: string, init: object) => Promise<Response>): Globals {
  const { setTimeout, clearTimeout } = globalThis;
  const rest = { AbortController, TextDecoder, ReadableStream, WritableStream, console, crypto };
  return { fetch, setTimeout, clearTimeout, ...rest } as unknown as Globals;
}

const bodyOf = (pieces: readonly Uint8Array[]) =>
  new ReadableStream<Uint8Array>({
    start(stream) {
      for (const piece of pieces) stream.enqueue(piece);
      stream.close();
    },
  });

test('[J121] a character that the network cuts arrives whole', async () => {
  const bytes = new TextEncoder().encode('data: ü📖写\n\n');
  for (let cut = 0; cut <= bytes.length; cut++) {
    const body = bodyOf([bytes.subarray(0, cut), bytes.subarray(cut)]);
    const { fetch } = fetchEnvironment(place(async () => new Response(body)));
    const events = new EventReader();
    const found: string[] = [];
    for await (const text of (await fetch('x', { method: 'GET', headers: {} })).texts())
      found.push(...events.push(text));
    expect(found).toEqual(['ü📖写']);
  }
});

test('[J121] a body that nobody reads to its end is cancelled', async () => {
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (stream) => stream.enqueue(new TextEncoder().encode('more')),
    cancel: () => void (isCancelled = true),
  });
  const { fetch } = fetchEnvironment(place(async () => new Response(body)));
  for await (const text of (await fetch('x', { method: 'GET', headers: {} })).texts()) {
    expect(text).toBe('more');
    break;
  }
  expect(isCancelled).toBe(true);
});

test('[J119] chunks become a stream that is read as it is sent, or left', async () => {
  let made = 0;
  let isLeft = false;
  async function* chunks() {
    try {
      for (; made < 3; made++) yield new Uint8Array([made]);
    } finally {
      isLeft = true;
    }
  }
  const { streamOf } = fetchEnvironment(place(async () => new Response()));
  const reader = (streamOf(chunks()) as ReadableStream<Uint8Array>).getReader();
  expect((await reader.read()).value).toEqual(new Uint8Array([0]));
  expect(made).toBeLessThan(3);
  await reader.cancel();
  expect(isLeft).toBe(true);
  const whole = streamOf(chunks()) as ReadableStream<Uint8Array>;
  made = 0;
  expect(new Uint8Array(await new Response(whole).arrayBuffer())).toEqual(
    new Uint8Array([0, 1, 2]),
  );
});

test('[J122] fetch is asked not to keep answers only where it would', async () => {
  const seen: unknown[] = [];
  const plain = async (_: string, init: object) => {
    seen.push((init as { cache?: string }).cache);
    return new Response('{}');
  };
  const patched = Object.assign((url: string, init: object) => plain(url, init), {
    __nextPatched: true,
  });
  for (const fetch of [plain, patched]) {
    const config = { appId: 'app', adminToken: 't', server: 'http://x' };
    const db = new AdminDatabase(config, fetchEnvironment(place(fetch)));
    await db.query({});
    await db.query({}, { fetchOpts: { cache: 'force-cache' } });
  }
  expect(seen).toEqual([undefined, 'force-cache', 'no-store', 'force-cache']);
});
