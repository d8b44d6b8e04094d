/** The SDK in the machine's own Firefox, with a real server: its disk, and a write made offline. */
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Browser, type BrowserContext, launch, type Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Step } from '../../src/pending/steps.ts';
import { bundled } from '../support/bundled.ts';
import { DISK_CONTRACT } from '../support/disk-contract.ts';
import { LiveApp, LiveServer } from '../support/live-server.ts';
import { SHELF_ATTRS, SHELF_SCHEMA } from '../support/shelf.ts';
import { entity } from '../support/stage.ts';

const FIREFOX = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

let browser: Browser;
let pages: Server;
let origin: string;

describe.skipIf(!existsSync(FIREFOX))('in Firefox', () => {
  beforeAll(async () => {
    const script = await bundled('../web/disk-page.ts');
    pages = createServer((request, response) => {
      const isScript = request.url === '/page.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
      response.end(isScript ? script : '<!doctype html><script src="/page.js"></script>');
    });
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
    origin = `http://localhost:${(pages.address() as AddressInfo).port}`;
    browser = await launch({ browser: 'firefox', executablePath: FIREFOX, headless: true });
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    pages?.close();
  });

  test('[J84] IndexedDB does what a disk does', async () => {
    const context = await browser.createBrowserContext();
    const page = await pageOf(context);
    for (const name of Object.keys(DISK_CONTRACT))
      await page
        .evaluate((one) => window.page.contract(one), name)
        .catch((error: unknown) => {
          throw new Error(`${name}: ${String(error)}`);
        });
    await page.evaluate(() => window.page.wipedElsewhere());
    await context.close();
  }, 120_000);

  test('[J71, J74] offline, write, reload, online', async () => {
    let server = await LiveServer.start();
    const app = await LiveApp.make(server);
    await app.transact(SHELF_ATTRS.map((attr): Step => ['add-attr', attr]));
    app.close();
    // Storage of its own: nothing of the other test is in it.
    const context = await browser.createBrowserContext();
    const start = async () => {
      const page = await pageOf(context);
      await page.evaluate(
        (url, schema, id) => window.page.start(url, schema, id),
        server.url,
        SHELF_SCHEMA,
        app.id,
      );
      return page;
    };
    let page = await start();
    await shows(page, ({ source }) => source === 'server');
    // It is written a moment after it is shown.
    while ((await page.evaluate(() => window.page.answers())) === 0);
    await page.close();

    const restart = await server.pause();
    page = await start();
    await shows(page, ({ source }) => source === 'cache');
    const status = await page.evaluate((id) => {
      const { db } = window.page;
      return db.transact(db.tx.tags![id]!.update({ name: 'offline' })).then((one) => one.status);
    }, entity(1));
    expect(status).toBe('enqueued');
    await page.close();

    server = await restart();
    page = await start();
    const { names } = await shows(
      page,
      (state) => state.pending === 0 && state.source === 'server',
    );
    expect(names).toEqual(['offline']);
    await context.close();
    await server.stop();
  }, 120_000);
});

interface Shown {
  readonly source: string | undefined;
  readonly pending: number;
  readonly names: unknown[];
}

async function pageOf(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  await page.goto(origin);
  return page;
}

/** Waits until the page shows what is wanted; the test's own bound ends it. */
async function shows(page: Page, isDone: (state: Shown) => boolean): Promise<Shown> {
  for (;;) {
    const state = await page.evaluate(() => {
      const { db, state: shown } = window.page;
      const rows = shown?.data?.tags ?? [];
      return {
        source: shown?.source,
        pending: db.pending.count,
        names: rows.map((row) => row.name),
      };
    });
    if (isDone(state)) return state;
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
  }
}
