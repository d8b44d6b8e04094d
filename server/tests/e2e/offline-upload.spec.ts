import { resolve } from 'node:path';
import { build } from 'vite';
import type { BrowserContext, Page } from '@playwright/test';
import { createApp, expect, test } from './fixtures';
import { Gate } from './gate';
import type { App, Server } from './server';

interface Taken {
  readonly status: string;
  readonly isSaved: boolean;
  readonly fileId: string;
  readonly bytes: number;
}

declare global {
  interface Window {
    page: {
      take(caption: string, colour: string): Promise<Taken>;
      noise(bytes: number): Promise<{ isSaved: boolean; ms: number; fileId: string }>;
      readonly db: { readonly pending: { readonly count: number } };
    };
  }
}

/** The page as one script. */
async function bundled(): Promise<string> {
  const entry = resolve(import.meta.dirname, 'photo-page.mjs');
  const lib = { entry, formats: ['iife' as const], name: 'unused' };
  const built = await build({
    configFile: false,
    logLevel: 'error',
    build: { write: false, minify: false, lib },
  });
  const [first] = [built].flat() as { output: { code?: string }[] }[];
  return first!.output[0]!.code!;
}

/** Serves the page from memory beside the server, whether there is a network or not. */
async function serve(context: BrowserContext, server: Server): Promise<void> {
  const script = await bundled();
  // A page from memory counts as one of the internet.
  await context.grantPermissions(['local-network-access']);
  await context.route(`${server.url}/photos/**`, (route) =>
    new URL(route.request().url()).pathname === '/photos/page.js'
      ? route.fulfill({ contentType: 'text/javascript; charset=utf-8', body: script })
      : route.fulfill({
          contentType: 'text/html; charset=utf-8',
          body: '<!doctype html><body><script type="module" src="page.js"></script></body>',
        }),
  );
}

/** The page of a new app, online once and then off; the gate is shut. */
async function offline(
  page: Page,
  server: Server,
  context: BrowserContext,
): Promise<{ app: App; gate: Gate }> {
  const app = await createApp('gallery', server);
  await serve(context, server);
  const gate = await Gate.install(page);
  await page.goto(`${server.url}/photos/?app=${app.id}&server=${server.url}`);
  await expect(page.locator('p')).toHaveText('authenticated');
  await gate.shut();
  await context.setOffline(true);
  await expect(page.locator('p')).not.toHaveText('authenticated');
  return { app, gate };
}

/** How many pictures with this caption are drawn, and whether from the page itself. */
function shown(page: Page, caption: string): Promise<string[]> {
  return page.getByAltText(caption).evaluateAll((images) =>
    (images as HTMLImageElement[])
      .filter(({ naturalWidth }) => naturalWidth === 600)
      .map(({ src }) => new URL(src).protocol),
  );
}

test('[J265] a photo taken offline is shown, survives a reload, and arrives', async ({
  server,
  page,
  context,
}) => {
  const { app, gate } = await offline(page, server, context);
  const taken = await page.evaluate(() => window.page.take('sea', 'teal'));
  expect(taken).toMatchObject({ status: 'enqueued', isSaved: true });
  await expect.poll(() => shown(page, 'sea')).toEqual(['blob:']);
  expect((await server.query(app, { $files: {} })).$files).toEqual([]);

  // The page starts anew while nothing can be reached.
  await page.reload();
  await expect.poll(() => shown(page, 'sea')).toEqual(['blob:']);

  await context.setOffline(false);
  gate.open();
  const files = async () => (await server.query(app, { $files: {} })).$files;
  await expect.poll(files).toMatchObject([{ id: taken.fileId, size: taken.bytes }]);
  await expect.poll(() => shown(page, 'sea')).toEqual(['http:']);
  await expect.poll(() => page.evaluate(() => window.page.db.pending.count)).toBe(0);
  const photos = (await server.query(app, { photos: { file: {} } })).photos;
  expect(photos).toMatchObject([{ caption: 'sea', file: [{ id: taken.fileId }] }]);
  const [stored] = await files();
  const bytes = Buffer.from(await (await fetch(stored.url)).arrayBuffer());
  expect(bytes.subarray(1, 4).toString()).toBe('PNG');
});

test('[J266, J270] a large file is kept, and goes on after reloads', async ({
  server,
  page,
  context,
}) => {
  const { app, gate } = await offline(page, server, context);
  const kept = await page.evaluate(() => window.page.noise(20 * 1024 * 1024));
  expect(kept.isSaved).toBe(true);
  test.info().annotations.push({ type: '20 MiB kept', description: `${Math.round(kept.ms)} ms` });
  await page.reload();
  await context.setOffline(false);
  // Its page ends in the middle of the upload, which the next one finishes.
  let parts = 0;
  await page.route(/storage\/tus\//, async (route) => {
    if (route.request().method() === 'PATCH') parts++;
    await route.continue();
  });
  gate.open();
  await expect.poll(() => parts).toBeGreaterThan(1);
  await page.reload();
  const files = async () => (await server.query(app, { $files: {} })).$files;
  await expect.poll(files).toMatchObject([{ id: kept.fileId, size: 20 * 1024 * 1024 }]);
  await expect.poll(() => page.evaluate(() => window.page.db.pending.count)).toBe(0);
});
