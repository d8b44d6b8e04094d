/** A page that a small server makes and streams, in the machine's own Chromium. */
import { existsSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from '@playwright/test';
import { renderToPipeableStream } from 'react-dom/server';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ReactDatabase } from '../../src/react/database.ts';
import { injectorOf } from '../../src/ssr/injector.ts';
import { ServerDb } from '../../src/ssr/server-db.ts';
import { fetchEnvironment } from '../../src/web/fetch.ts';
import { webEnvironment } from '../../src/web/environment.ts';
import { Clock } from '../simulation/clock.ts';
import { Server } from '../simulation/server.ts';
import { Random } from '../support/random.ts';
import { SHELF_ATTRS, SHELF_SCHEMA, SHELF_TRIPLES } from '../support/shelf.ts';
import { MadePage } from './made-page.tsx';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const NONCE = 'bm9uY2U=';
const CONFIG = { appId: 'app', schema: SHELF_SCHEMA };

let browser: Browser;
let script: string;

/** The data's server, and one that makes pages of it. */
class World {
  readonly data = new Server(new Clock(), new Random(1), SHELF_ATTRS, SHELF_TRIPLES);
  /** Messages of browsers. */
  readonly sent: Record<string, unknown>[] = [];
  /** Paths that were asked of this server. */
  readonly asked: string[] = [];
  /** Opens the way for the answer to the second query of a page. */
  release: () => void = () => {};
  readonly #held = new Promise<void>((resolve) => (this.release = resolve));
  readonly #http = createServer((request, response) => {
    this.asked.push(request.url ?? '');
    if (request.url === '/client.js')
      response.setHeader('content-type', 'text/javascript; charset=utf-8').end(script);
    else if (request.url === '/') this.#make(response);
    else response.writeHead(204).end();
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#http.closeAllConnections();
    this.#http.close();
  }

  /** Streams a page as frameworks do, under a policy that runs no script but its own. */
  #make(response: ServerResponse): void {
    const policy = `script-src 'nonce-${NONCE}' 'strict-dynamic'`;
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.setHeader('content-security-policy', policy);
    const environment = fetchEnvironment();
    const server = new ServerDb(CONFIG, { ...environment, fetch: (_, init) => this.#answer(init) });
    const shared = new ReactDatabase(CONFIG, { ...webEnvironment(), isServer: true });
    const { writable, readable } = injectorOf(environment, () => server.script({ nonce: NONCE }));
    Readable.fromWeb(readable as never).pipe(response);
    const { pipe } = renderToPipeableStream(<MadePage db={shared} server={server} />, {
      nonce: NONCE,
      bootstrapScripts: ['/client.js'],
      onShellReady: () => pipe(Writable.fromWeb(writable as never)),
    });
  }

  async #answer({ body }: { readonly body?: string | object }) {
    const { query } = JSON.parse(String(body)) as { query: Record<string, never> };
    if ('tags' in query) await this.#held;
    const text = JSON.stringify(this.data.page(query));
    return {
      status: 200,
      contentType: 'application/json',
      header: () => null,
      text: async () => text,
      texts: async function* () {
        yield text;
      },
    };
  }

  async open(): Promise<{ page: Page; said: string[] }> {
    const page = await browser.newPage();
    const said: string[] = [];
    page.on('console', (message) => {
      if (!message.text().includes('React DevTools')) said.push(message.text());
    });
    page.on('pageerror', (error) => said.push(String(error)));
    await page.addInitScript(keepShown);
    await page.routeWebSocket(/runtime\/session/, (socket) => {
      const end = this.data.accept({
        send: (text) => socket.send(text),
        close: (code) => void socket.close({ code }),
      });
      socket.onMessage((text) => {
        this.sent.push(JSON.parse(String(text)) as Record<string, unknown>);
        end.received(String(text));
      });
      socket.onClose(() => end.closed());
    });
    await page.goto(await this.listen(), { waitUntil: 'commit' });
    return { page, said };
  }
}

/** In the browser: keeps each text that the page showed of its parts. */
function keepShown(): void {
  const shown: Record<string, string[]> = { people: [], tags: [] };
  Object.assign(globalThis, { shown });
  const look = () => {
    for (const [id, texts] of Object.entries(shown)) {
      const text = document.getElementById(id)?.textContent ?? null;
      // What React holds back for later is not shown yet.
      const isHidden = document.getElementById(id)?.closest('[hidden]');
      if (!isHidden && (text !== null || texts.length > 0) && texts.at(-1) !== (text ?? 'gone'))
        texts.push(text ?? 'gone');
    }
  };
  new MutationObserver(look).observe(document, {
    ...{ childList: true, subtree: true, characterData: true },
  });
}

describe.skipIf(!existsSync(CHROMIUM))('in Chromium', () => {
  beforeAll(async () => {
    [script, browser] = await Promise.all([
      bundled(),
      chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] }),
    ]);
  }, 120_000);
  afterAll(() => browser?.close());

  test('[J181, J182, J186] a page streams, is hydrated without a flash, and is live', async () => {
    const world = new World();
    const tagId = 'e0000000-0000-4000-8000-000000000078';
    const attrOf = (label: string) =>
      SHELF_ATTRS.find(({ 'forward-identity': [, ...name] }) => name.join() === `tags,${label}`)!;
    world.data.transact('before', [
      ['add-triple', tagId, attrOf('id').id, tagId],
      ['add-triple', tagId, attrOf('name').id, '</script>'],
    ]);
    const { page, said } = await world.open();
    const rows = world.data.rows({ people: { $: { order: { name: 'asc' } } } } as never) as {
      people: { name: string }[];
    };
    const people = rows.people.map(({ name }) => name).join(' ');

    // The first part is live while the second is still being made.
    await page.waitForSelector('#people[data-live=true]');
    expect(await page.textContent('#people')).toBe(people);
    expect(await page.textContent('#waiting')).toBe('waiting');
    world.release();
    await page.waitForSelector('#tags[data-live=true]');
    await page.waitForFunction(() => window.db?.connectionStatus === 'authenticated');
    await until(() => world.sent.filter(({ op }) => op === 'add-query').length === 2);

    // Each query was asked once, with the version of the page; nothing came over HTTP.
    const asked = world.sent.filter(({ op }) => op === 'add-query');
    for (const { q, held } of asked) expect(held).toBe(world.data.answer(q as never).version);
    const asksOf = (path: string) => world.asked.filter((one) => one === path).length;
    expect([asksOf('/'), asksOf('/client.js')]).toEqual([1, 1]);
    expect(world.asked.filter((path) => path.startsWith('/runtime'))).toEqual([]);
    const kept = () => page.evaluate(() => window.shown);
    const tags = (await page.textContent('#tags'))!;
    expect(tags).toContain('</script>');
    expect(await kept()).toEqual({ people: [people], tags: [tags] });
    expect(said).toEqual([]);

    await page.evaluate(() => {
      const db = window.db!;
      return db.transact(
        db.tx.people!['e0000000-0000-4000-8000-000000000077']!.update({ name: 'Zz' }),
      );
    });
    await page.waitForFunction((before) => window.shown.people!.at(-1) !== before, people);
    expect((await kept()).people).toEqual([people, `${people} Zz`]);
    expect(world.data.applied.size).toBe(2);
    expect(said).toEqual([]);
    await page.close();
    world.close();
  });
});

declare global {
  interface Window {
    readonly db?: import('../../src/client/database.ts').Database;
    readonly shown: Record<string, string[]>;
  }
}

/** Waits turn by turn; the test's own bound ends it. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

async function bundled(): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'error',
    // React's own checks of what it takes over are in this build only.
    define: { 'process.env.NODE_ENV': '"development"', SCHEMA: JSON.stringify(SHELF_SCHEMA) },
    build: {
      write: false,
      minify: false,
      lib: {
        entry: fileURLToPath(new URL('made-page-client.tsx', import.meta.url)),
        formats: ['iife'],
        name: 'unused',
      },
    },
  });
  const [{ output }] = [built].flat() as unknown as [{ output: { code?: string }[] }];
  return output[0]!.code!;
}
