/** Pages in the machine's own Chromium, from memory: nothing is served. */
import { fileURLToPath } from 'node:url';
import type { BrowserContext, Page, Route, WebSocketRoute } from '@playwright/test';
import { build } from 'vite';
import type { FetchInit } from '../../src/client/environment.ts';
import { Clock } from '../simulation/clock.ts';
import { Files } from '../simulation/files.ts';
import { Server } from '../simulation/server.ts';
import { PHOTO_ATTRS, storeRow } from './photo-stage.ts';
import { Random } from './random.ts';
import { SHELF_ATTRS, SHELF_SCHEMA, SHELF_TRIPLES } from './shelf.ts';

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const ORIGIN = 'http://localhost:1';

/** The simulation's server behind WebSockets, whose open ones are counted. */
export class SocketWorld {
  readonly #random = new Random(1);
  readonly #clock = new Clock();
  readonly server = new Server(
    this.#clock,
    this.#random,
    [...SHELF_ATTRS, ...PHOTO_ATTRS],
    SHELF_TRIPLES,
  );
  readonly files = new Files(this.#clock, this.#random);
  readonly #open = new Set<WebSocketRoute>();
  /** Connections that were ever made. */
  made = 0;

  isOnline = true;
  goOffline(): void {
    this.isOnline = false;
    for (const socket of [...this.#open]) {
      this.#open.delete(socket);
      void socket.close({ code: 4000 });
    }
  }

  /** How many connections are open. */
  get open(): number {
    return this.#open.size;
  }

  async route(context: BrowserContext): Promise<void> {
    this.files.onStored = (path, file) => storeRow(this.server, this.#random, path, file);
    await context.route('**/storage/**', (route) => this.#answer(route));
    await context.routeWebSocket(/runtime\/session/, (socket) => {
      if (!this.isOnline) return void socket.close({ code: 4000 });
      this.#open.add(socket);
      this.made += 1;
      const end = this.server.accept({
        send: (text) => socket.send(text),
        close: (code) => void socket.close({ code }),
      });
      socket.onMessage((text) => end.received(String(text)));
      socket.onClose(() => {
        this.#open.delete(socket);
        end.closed();
      });
    });
  }

  /** A request about files. */
  async #answer(route: Route): Promise<void> {
    if (!this.isOnline) return route.abort();
    const request = route.request();
    const bytes = request.postDataBuffer();
    const method = request.method() as FetchInit['method'];
    const headers = request.headers();
    const body = bytes ? { body: new Uint8Array(bytes) } : {};
    const answering = this.files.fetch(request.url(), { method, headers, ...body });
    await this.#clock.pass(5_000);
    const answer = await answering;
    const told = FILE_HEADERS.flatMap((name) => {
      const value = answer.headers?.get(name);
      return value == null ? [] : [[name, value] as const];
    });
    await route.fulfill({
      status: answer.status,
      headers: Object.fromEntries(told),
      body: await answer.text(),
    });
  }
}

/** Headers of answers about files. */
const FILE_HEADERS = ['upload-offset', 'trice-file-id', 'trice-tx-id', 'location'];

/** Answers every address of the context: scripts by name, else a page that starts a client. */
export async function servePages(
  context: BrowserContext,
  scripts: ReadonlyMap<string, string>,
  entry: string,
): Promise<void> {
  const start = `page.start(${JSON.stringify(ORIGIN)}, ${JSON.stringify(SHELF_SCHEMA)})`;
  await context.route('**/*', (route) => {
    const name = new URL(route.request().url()).pathname.slice(1);
    const script = scripts.get(name);
    if (script !== undefined)
      return route.fulfill({ contentType: 'text/javascript; charset=utf-8', body: script });
    const body = `<!doctype html><script type="module">import "/${entry}"; ${start}</script>`;
    return route.fulfill({ contentType: 'text/html; charset=utf-8', body });
  });
}

/** The scripts of a module of tests/web, in parts as an app's build has them. */
export async function bundled(
  file: string,
): Promise<{ scripts: ReadonlyMap<string, string>; entry: string }> {
  const path = fileURLToPath(new URL(`../web/${file}`, import.meta.url));
  const built = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: false,
      modulePreload: false,
      rollupOptions: { input: path, preserveEntrySignatures: 'strict' },
    },
  });
  const chunks = [built]
    .flat()
    .flatMap(
      (one) => (one as { output: { fileName: string; code?: string; isEntry?: boolean }[] }).output,
    );
  return {
    scripts: new Map(chunks.map(({ fileName, code }) => [fileName, code ?? ''])),
    entry: chunks.find(({ isEntry }) => isEntry)!.fileName,
  };
}

/** Waits until a page says so; the test's own bound ends it. */
export async function until(page: Page, isDone: () => Promise<boolean>): Promise<void> {
  while (!(await isDone())) await page.evaluate(() => new Promise((next) => setTimeout(next, 5)));
}
