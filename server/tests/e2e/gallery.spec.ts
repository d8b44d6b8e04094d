import { randomBytes } from 'node:crypto';
import { deflateSync, crc32 } from 'node:zlib';
import { examine } from './examine';
import { address, createApp, expect, expectConnected, expectOffline, test } from './fixtures';
import type { Page } from '@playwright/test';

/** A picture as PNG: of one colour, or of noise, which takes 3 bytes for each pixel. */
function picture(width: number, height: number, isNoise = false): Buffer {
  const chunk = (name: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
    const [size, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    size.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([size, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const pixels = () => (isNoise ? randomBytes(3 * width) : Buffer.alloc(3 * width, 0x99));
  const row = () => Buffer.concat([Buffer.from([0]), pixels()]);
  const rows = deflateSync(Buffer.concat(Array.from({ length: height }, row)));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('IDAT', rows),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

async function add(page: Page, ...names: string[]): Promise<void> {
  const files = names.map((name) => ({
    name,
    mimeType: name.endsWith('.png') ? 'image/png' : 'text/html',
    buffer: picture(900, 600, name.startsWith('noise')),
  }));
  await page.getByLabel('Add photos').setInputFiles(files);
}

function photos(page: Page) {
  return page.getByRole('list', { name: 'Photos' }).getByRole('img');
}

test('pictures are sent, shown in the size that fits, to everybody', async ({ server, open }) => {
  const app = await createApp('gallery', server);
  const [ada, bob] = [await open('gallery', server, app), await open('gallery', server, app)];
  await expectConnected(ada);
  await expectConnected(bob);
  await expect(ada.getByText('No photos yet.')).toBeVisible();
  await examine(ada);

  await add(ada, 'sea.png', 'hills.png');
  await expect(photos(bob)).toHaveCount(2);
  await expect(ada.getByRole('list', { name: 'Uploads' })).toHaveCount(0);
  const sea = bob.getByRole('img', { name: 'sea' });
  const shown = (image: HTMLImageElement) =>
    image.naturalWidth > 0 && new URL(image.currentSrc).searchParams.get('w');
  await expect.poll(() => sea.evaluate(shown)).toBe('320');
  await examine(bob);

  const original = await bob.getByRole('link').filter({ has: sea }).getAttribute('href');
  const response = await bob.request.get(original!);
  expect(response.headers()['content-type']).toBe('image/png');
  expect((await response.body()).equals(picture(900, 600))).toBe(true);

  await ada.getByRole('button', { name: 'Delete: sea' }).click();
  await expect(photos(bob)).toHaveCount(1);
  expect((await bob.request.get(original!)).ok()).toBe(false);
});

test('what is no picture is refused, and says so', async ({ server, open }) => {
  const page = await open('gallery', server, await createApp('gallery', server));
  await expectConnected(page);
  await add(page, 'page.html', 'hills.png');
  await expect(photos(page)).toHaveCount(1);
  const refused = uploads(page);
  await expect(refused).toContainText('Only pictures.');
  await examine(page);
  await page.getByRole('button', { name: 'Dismiss: page.html' }).click();
  await expect(refused).toHaveCount(0);
});

test('pictures added offline wait, and are sent later', async ({ server, open }) => {
  const page = await open('gallery', server, await createApp('gallery', server));
  await expectConnected(page);
  await page.context().setOffline(true);
  await expectOffline(page);
  await add(page, 'sea.png', 'hills.png');
  const waiting = uploads(page);
  await expect(waiting).toHaveCount(2);
  await examine(page);
  await page.context().setOffline(false);
  await expect(photos(page)).toHaveCount(2);
  await expect(waiting).toHaveCount(0);
});

test('pictures added offline outlive the page', async ({ server, open }) => {
  const app = await createApp('gallery', server);
  const page = await open('gallery', server, app);
  await expectConnected(page);
  const context = page.context();
  await context.setOffline(true);
  await add(page, 'sea.png', 'hills.png');
  await expect(uploads(page)).toHaveCount(2);
  await page.close();
  await context.setOffline(false);
  const later = await context.newPage();
  await later.goto(address('gallery', server, app));
  await expect(photos(later)).toHaveCount(2);
  await expect(uploads(later)).toHaveCount(0);
  await later.reload();
  await expect(photos(later)).toHaveCount(2);
  await expect(uploads(later)).toHaveCount(0);
});

test('an upload shows how far it is, is paused, and goes on after a reload', async ({
  server,
  open,
}) => {
  const page = await open('gallery', server, await createApp('gallery', server));
  await expectConnected(page);
  const parts = partsOf(page);
  const hurry = await slow(page);
  await add(page, 'noise.png');
  await expectSent(page, 5);
  await examine(page);
  await page.getByRole('button', { name: 'Pause: noise.png' }).click();
  await expect(uploads(page)).toContainText('is paused');
  await examine(page);
  await page.reload();
  await expectConnected(page);
  await expect(uploads(page)).toContainText('is paused');
  await expectSent(page, 5);
  await expect(photos(page)).toHaveCount(0);
  const before = parts.length;
  await hurry();
  await page.getByRole('button', { name: 'Resume: noise.png' }).click();
  await expect(photos(page)).toHaveCount(1);
  await expect(uploads(page)).toHaveCount(0);
  expect(parts.slice(before)).toEqual([expect.any(Number)]);
  expect(parts[before]).toBeGreaterThan(0);
});

test('an upload goes on after its server was killed', async ({ ownServer, open }) => {
  const page = await open('gallery', ownServer, await createApp('gallery', ownServer));
  await expectConnected(page);
  const parts = partsOf(page);
  const hurry = await slow(page);
  await add(page, 'noise.png');
  await expectSent(page, 20);
  await ownServer.kill();
  await expectOffline(page);
  await hurry();
  await ownServer.restart();
  await expect(photos(page)).toHaveCount(1);
  await expect(uploads(page)).toHaveCount(0);
  expect(parts.at(-1)).toBeGreaterThan(0);
});

test('an upload that is dismissed is gone, here and on the server', async ({ server, open }) => {
  const page = await open('gallery', server, await createApp('gallery', server));
  await expectConnected(page);
  await slow(page);
  await add(page, 'noise.png');
  await expectSent(page, 5);
  const ended = page.waitForResponse((answer) => answer.request().method() === 'DELETE');
  await page.getByRole('button', { name: 'Dismiss: noise.png' }).click();
  expect((await ended).status()).toBe(204);
  await page.reload();
  await expect(page.getByText('No photos yet.')).toBeVisible();
  await expect(uploads(page)).toHaveCount(0);
});

function uploads(page: Page) {
  return page.getByRole('list', { name: 'Uploads' }).getByRole('listitem');
}

/** Wait until so much of a picture is sent, and not all. */
async function expectSent(page: Page, percent: number): Promise<void> {
  const bar = page.getByRole('progressbar', { name: 'Sent of noise.png' });
  const value = async () => Number(await bar.getAttribute('value'));
  await expect.poll(value).toBeGreaterThanOrEqual(percent);
  expect(await value()).toBeLessThan(100);
}

/** Where the parts of uploads begin that the page sends from now on. */
function partsOf(page: Page): number[] {
  const parts: number[] = [];
  page.on('request', (request) => {
    if (request.method() === 'PATCH') parts.push(Number(request.headers()['upload-offset']));
  });
  return parts;
}

/** Let the page send no more than 40 kB a second, until the returned function is called. */
async function slow(page: Page): Promise<() => Promise<void>> {
  const session = await page.context().newCDPSession(page);
  const limit = (uploadThroughput: number) =>
    session.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput,
    });
  await session.send('Network.enable');
  await limit(40_000);
  return async () => void (await limit(-1));
}
