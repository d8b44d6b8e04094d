// Files that the official admin client uploads, read by the URL that its queries give.
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { after, before, test } from 'node:test';

import './support/browser.mjs';
import { createAdmin } from './support/clients.mjs';
import { createApp, startServer } from './support/server.mjs';

// 1 × 1 pixel.
const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJ' +
    'RU5ErkJggg==',
  'base64',
);

let server;
let db;

before(async () => {
  server = await startServer();
  db = createAdmin(server, await createApp(server));
});
after(() => server?.stop());

const urlOf = async (path) => {
  const { $files } = await db.query({ $files: { $: { where: { path } } } });
  return $files[0].url;
};

test('[F100, F101] the URL of an uploaded file gives its bytes, and spans of them', async () => {
  await db.storage.uploadFile('a/pixel.png', PIXEL, { contentType: 'image/png' });
  const url = await urlOf('a/pixel.png');
  const whole = await fetch(url);
  assert.equal(whole.status, 200);
  assert.equal(whole.headers.get('content-type'), 'image/png');
  assert.deepEqual(Buffer.from(await whole.arrayBuffer()), PIXEL);
  const part = await fetch(url, { headers: { range: 'bytes=1-3' } });
  assert.equal(part.status, 206);
  assert.equal(await part.text(), 'PNG');
  const known = await fetch(url, { headers: { 'if-none-match': whole.headers.get('etag') } });
  assert.equal(known.status, 304);
});

test('[F108] an uploaded page is saved, not shown', async () => {
  await db.storage.uploadFile('a/page.html', Buffer.from('<script>1</script>'), {
    contentType: 'text/html',
    contentDisposition: 'inline',
  });
  const got = await fetch(await urlOf('a/page.html'));
  assert.equal(got.headers.get('content-disposition'), 'attachment; filename="page.html"');
  assert.match(got.headers.get('content-security-policy'), /sandbox$/);
  await got.text();
});

test('[F112, F122] a variant has the URL of its image, and ends with it', async () => {
  await db.storage.uploadFile('a/image.png', PIXEL, { contentType: 'image/png' });
  const url = await urlOf('a/image.png');
  const variant = await fetch(`${url}&w=64&format=webp`);
  assert.equal(variant.headers.get('content-type'), 'image/webp');
  assert.equal(Buffer.from(await variant.arrayBuffer()).toString('latin1', 8, 12), 'WEBP');
  await db.storage.delete('a/image.png');
  for (const gone of [url, `${url}&w=64&format=webp`]) {
    const answer = await fetch(gone);
    assert.equal(answer.status, 404);
    assert.equal((await answer.json()).type, 'file-not-found');
  }
});
