// The page of offline-upload.spec.ts: what an app of `tricedb` does, without a framework.
import { id, init } from '../../../clients/js/src/index.ts';

const names = new URL(location.href).searchParams;
const db = init({ appId: names.get('app'), server: names.get('server') });

/** Draws a picture of a colour, uploads it, and makes a photo with a caption of it. */
async function take(caption, colour) {
  const canvas = Object.assign(document.createElement('canvas'), { width: 600, height: 400 });
  const drawing = canvas.getContext('2d');
  drawing.fillStyle = colour;
  drawing.fillRect(0, 0, canvas.width, canvas.height);
  const blob = await new Promise((then) => canvas.toBlob(then, 'image/png'));
  const upload = db.storage.uploadFile(`photos/${id()}.png`, blob);
  const write = db.transact(
    db.tx.photos[id()].create({ caption, addedAt: Date.now() }).link({ file: upload.fileId }),
  );
  const { status } = await write;
  return { status, isSaved: await upload.saved, fileId: upload.fileId, bytes: blob.size };
}

/** Uploads so many bytes of noise; returns once they are saved. */
async function noise(bytes) {
  const parts = Array.from({ length: bytes / 65_536 }, () =>
    crypto.getRandomValues(new Uint8Array(65_536)),
  );
  const blob = new Blob(parts, { type: 'image/png' });
  const startedAt = performance.now();
  const upload = db.storage.uploadFile(`photos/${id()}.png`, blob);
  const isSaved = await upload.saved;
  return { isSaved, ms: performance.now() - startedAt, fileId: upload.fileId };
}

const list = document.body.appendChild(document.createElement('ul'));
db.subscribeQuery({ photos: { file: {} } }, ({ data }) => {
  const items = (data?.photos ?? []).map(({ caption, file: [file] }) => {
    const image = Object.assign(new Image(), { alt: caption, src: file?.url ?? '' });
    const item = document.createElement('li');
    item.append(image);
    return item;
  });
  list.replaceChildren(...items);
});
const status = document.body.appendChild(document.createElement('p'));
db.subscribeConnectionStatus((now) => (status.textContent = now));

window.page = { db, take, noise };
