/** Scripts in a page while it streams. */
import { expect, test } from 'vitest';
import { injectorOf } from '../../src/ssr/injector.ts';
import { fetchEnvironment } from '../../src/web/fetch.ts';
import { Clock } from '../simulation/clock.ts';

/** A page that a test writes piece by piece, and what a browser gets of it. */
class Page {
  readonly clock = new Clock();
  got = '';
  error: unknown;
  /** What the next piece lacks. */
  script = '';
  readonly #writer: WritableStreamDefaultWriter;
  readonly reader: ReadableStreamDefaultReader;
  readonly #decoder = new TextDecoder();

  constructor() {
    const { writable, readable } = injectorOf(
      { ...fetchEnvironment(), timer: (ms, then) => this.clock.timer(ms, then) },
      () => {
        const { script } = this;
        this.script = '';
        return script;
      },
    );
    this.#writer = (writable as WritableStream).getWriter();
    this.reader = (readable as ReadableStream).getReader();
  }

  write(...parts: (string | Uint8Array)[]): Promise<void>[] {
    return parts.map((part) =>
      this.#writer.write(typeof part === 'string' ? new TextEncoder().encode(part) : part),
    );
  }

  async read(): Promise<void> {
    for (;;) {
      const { done, value } = await this.reader.read();
      if (done) return;
      this.got += this.#decoder.decode(value as Uint8Array, { stream: true });
    }
  }

  async turn(): Promise<void> {
    // As in a turn of the event loop, everything that is written comes before the timer.
    for (let turn = 0; turn < 3; turn++) {
      for (let count = 0; count < 500; count++) await Promise.resolve();
      await this.clock.pass(1);
    }
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  abort(reason: unknown): Promise<void> {
    return this.#writer.abort(reason);
  }
}

test('[J186] the first script ends the head, however the page is cut', async () => {
  const page = new Page();
  void page.read();
  page.script = '<script>1</script>';
  const first = new TextEncoder().encode('<html><head><t>é</t></head><body>a');
  page.write(...[...first].map((byte) => new Uint8Array([byte])));
  await page.turn();
  expect(page.got).toBe('<html><head><t>é</t><script>1</script></head><body>a');
  page.script = '<script>2</script>';
  page.write('<div hidden>', 'b</div>');
  await page.turn();
  page.script = '<script>3</script>';
  page.write('c');
  await page.turn();
  page.write('d</body></html>');
  await page.turn();
  page.script = '<script>4</script>';
  await page.close();
  await page.turn();
  expect(page.got.slice(page.got.indexOf('a<'))).toBe(
    // A renderer that stopped within a text, or after one, gets no script there.
    'a<div hidden>b</div><script>2</script><script>3</script>cd</body></html><script>4</script>',
  );
});

test('[J186] without a head the first script stands behind the piece', async () => {
  const page = new Page();
  void page.read();
  page.script = '<script>1</script>';
  page.write('<div>a', '</div>');
  await page.turn();
  expect(page.got).toBe('<div>a</div><script>1</script>');
});

test('[J186] a page that nobody reads is written no further, and may fail', async () => {
  const page = new Page();
  const large = new Uint8Array(600 * 1024);
  let written = 0;
  for (let count = 0; count < 8; count++) {
    for (const done of page.write(large)) void done.then(() => written++);
    await page.turn();
  }
  expect(written).toBeLessThanOrEqual(3);
  void page.read().catch((error: unknown) => (page.error = error));
  await page.turn();
  expect(written).toBe(8);
  await page.abort(new Error('the renderer failed'));
  await page.turn();
  expect(String(page.error)).toContain('the renderer failed');
});

test('[J186] a reader that leaves holds nobody up', async () => {
  const page = new Page();
  const large = new Uint8Array(600 * 1024);
  const writes = [0, 1, 2, 3].flatMap(() => page.write(large));
  await page.turn();
  await page.reader.cancel();
  await page.turn();
  await Promise.all(writes);
});
