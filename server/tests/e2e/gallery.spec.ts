import { deflateSync, crc32 } from 'node:zlib';
import { examine } from './examine';
import { createApp, expect, expectConnected, expectOffline, test } from './fixtures';
import type { Page } from '@playwright/test';

/** A picture of one colour, as PNG. */
function picture(width: number, height: number): Buffer {
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
  const row = Buffer.concat([Buffer.from([0]), Buffer.alloc(3 * width, 0x99)]);
  const rows = deflateSync(Buffer.concat(Array.from({ length: height }, () => row)));
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
    buffer: picture(900, 600),
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
  const refused = page.getByRole('list', { name: 'Uploads' }).getByRole('listitem');
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
  const waiting = page.getByRole('list', { name: 'Uploads' }).getByRole('listitem');
  await expect(waiting).toHaveCount(2);
  await examine(page);
  await page.context().setOffline(false);
  await expect(photos(page)).toHaveCount(2);
  await expect(waiting).toHaveCount(0);
});
