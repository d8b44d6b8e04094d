import { beforeAll, expect, test } from 'vitest';
import type { Upload } from '../../src/client/upload.ts';
import { base64, utf8 } from '../../src/values/utf8.ts';
import { Files } from '../simulation/files.ts';
import { Random, seeds } from '../support/random.ts';
import { entity, Stage } from '../support/stage.ts';

beforeAll(() => import('../../src/files/uploader.ts'));

const KIB = 1024;

/** A stage whose server has files. */
class FileStage extends Stage {
  readonly files: Files;

  constructor(seed?: number) {
    super(seed);
    this.files = new Files(this.clock, this.random);
    this.fetch = this.files.fetch;
  }
}

function bytesOf(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 31) ^ (at >> 8);
  return bytes;
}

/** How an upload ended: the id of the file, or the code of the error. */
function outcome(upload: Upload): { value: string | undefined } {
  const end: { value: string | undefined } = { value: undefined };
  upload.then(
    ({ data }) => (end.value = data.id),
    ({ code }) => (end.value = code),
  );
  return end;
}

test('[J101] a file arrives whole: in one request if small, else in growing pieces', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  const small = bytesOf(100 * KIB);
  const end = outcome(db.storage.uploadFile('a/höhe 😀.png', small, { contentType: 'image/png' }));
  await stage.settle();
  const stored = stage.files.stored.get('a/höhe 😀.png')!;
  expect(end.value).toBe(stored.id);
  expect(Buffer.compare(stored.bytes, small)).toBe(0);
  const fileId = stored.id;
  expect(stored.metadata).toEqual({ path: 'a/höhe 😀.png', contentType: 'image/png', fileId });
  expect(stage.files.requests.map(({ name }) => name)).toEqual(['POST tus']);

  stage.files.requests.length = 0;
  const large = bytesOf(2_000 * KIB);
  const upload = db.storage.uploadFile('large', large.buffer as ArrayBuffer);
  const told: number[] = [];
  upload.subscribe(() => told.push(upload.progress.sentBytes / KIB));
  await stage.clock.pass(60_000);
  expect(await upload).toEqual({ data: { id: stage.files.stored.get('large')!.id } });
  expect(Buffer.compare(stage.files.stored.get('large')!.bytes, large)).toBe(0);
  expect(stage.files.requests.map(({ bytes }) => bytes / KIB)).toEqual([0, 256, 512, 1024, 208]);
  expect([...new Set(told)]).toEqual([0, 256, 768, 1792, 2000]);
  expect(upload.state).toBe('done');
});

test('[J101] a server below a prefix tells places that have it', async () => {
  const stage = new FileStage();
  stage.fetch = async (address, init) => {
    expect(address).toMatch(/^http:\/\/test\/trice\/storage/);
    const answer = await stage.files.fetch(address.replace('/trice/', '/'), init);
    const headers = {
      get: (name: string) => {
        const found = answer.headers?.get(name) ?? null;
        return name === 'location' && found ? `/trice${found}` : found;
      },
    };
    return { ...answer, headers };
  };
  const db = stage.device({ server: 'http://test/trice' });
  await stage.settle();
  const end = outcome(db.storage.uploadFile('large', bytesOf(600 * KIB)));
  await stage.clock.pass(60_000);
  expect(end.value).toBe(stage.files.stored.get('large')!.id);
});

test('[J101] an empty file, and one for a server without resumable uploads', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  const empty = outcome(db.storage.uploadFile('empty', new Uint8Array()));
  await stage.settle();
  expect(empty.value).toBe(stage.files.stored.get('empty')!.id);
  stage.files.hasTus = false;
  const end = outcome(db.storage.uploadFile('ä', bytesOf(600 * KIB)));
  await stage.settle();
  expect(end.value).toBe(stage.files.stored.get('ä')!.id);
  expect(stage.files.stored.get('ä')!.bytes).toHaveLength(600 * KIB);
});

test('[J101] what is no file is refused, and so is what the rules deny', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  const malformed = outcome(db.storage.uploadFile('x', 'text' as never));
  await stage.settle();
  expect(malformed.value).toBe('file-malformed');
  stage.files.refusal = { status: 400, body: { type: 'permission-denied', message: 'no' } };
  const denied = outcome(db.storage.uploadFile('x', bytesOf(10)));
  await stage.settle();
  expect(denied.value).toBe('permission-denied');
  expect(stage.files.requests).toHaveLength(1);
});

test('[J102] an upload goes on where the server is, after requests that were cut', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  const file = bytesOf(1_000 * KIB);
  const end = outcome(db.storage.uploadFile('x', file));
  await stage.clock.pass(150);
  stage.files.isUp = false;
  await stage.clock.pass(30_000);
  expect(end.value).toBeUndefined();
  stage.files.isUp = true;
  await stage.clock.pass(120_000);
  expect(end.value).toBe(stage.files.stored.get('x')!.id);
  const sent = stage.files.requests.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(sent).toBe(file.length);
  expect(stage.files.requests.some(({ name }) => name === 'HEAD tus')).toBe(true);
});

test('[J102] an upload that the server forgot begins anew', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  const upload = db.storage.uploadFile('x', bytesOf(1_000 * KIB));
  const end = outcome(upload);
  while (upload.progress.sentBytes === 0) await stage.clock.pass(1);
  stage.files.partials.clear();
  await stage.clock.pass(60_000);
  expect(end.value).toBe(stage.files.stored.get('x')!.id);
});

test('[J102] after ten failures in a row an upload is given up', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  stage.files.isUp = false;
  const end = outcome(db.storage.uploadFile('x', bytesOf(10)));
  await stage.clock.pass(10 * 60_000);
  expect(end.value).toBe('offline');
});

test('[J102] failures between which bytes got through are not in a row', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  let pieces = 0;
  stage.fetch = (url, init) =>
    init.method === 'PATCH' && pieces++ % 2 === 0
      ? Promise.reject(new Error('cut off'))
      : stage.files.fetch(url, init);
  const end = outcome(db.storage.uploadFile('x', bytesOf(4_000 * KIB)));
  for (let n = 0; n < 60 && !end.value; n++) await stage.clock.pass(1_000);
  expect(pieces).toBeGreaterThan(20);
  expect(end.value).toBe(stage.files.stored.get('x')!.id);
});

test.each(seeds(40))('[J102] files arrive whole over bad networks (seed %i)', async (seed) => {
  const random = new Random(seed);
  const stage = new FileStage(seed);
  const db = stage.device();
  await stage.settle();
  stage.files.cutChance = 0.3;
  const files = Array.from({ length: 4 }, () => bytesOf(random.below(900) * KIB));
  const ends = files.map((file, n) => outcome(db.storage.uploadFile(`f${n}`, file)));
  for (let n = 0; n < 60 && ends.some(({ value }) => !value); n++) await stage.clock.pass(10_000);
  files.forEach((file, n) => {
    const stored = stage.files.stored.get(`f${n}`);
    expect(ends[n]!.value).toBe(stored!.id);
    expect(Buffer.compare(stored!.bytes, file)).toBe(0);
  });
});

test('[J103] a paused upload sends nothing until it is resumed', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  const upload = db.storage.uploadFile('x', bytesOf(1_000 * KIB));
  while (upload.progress.sentBytes === 0) await stage.clock.pass(1);
  upload.pause();
  await stage.settle();
  const { length } = stage.files.requests;
  expect(upload.state).toBe('paused');
  await stage.clock.pass(600_000);
  expect(stage.files.requests).toHaveLength(length);
  expect(stage.files.stored.size).toBe(0);
  upload.resume();
  await stage.settle();
  expect(upload.state).toBe('done');
  expect(stage.files.stored.get('x')!.bytes).toHaveLength(1_000 * KIB);
});

test('[J103] an aborted upload rejects at once, and the server forgets it', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  const upload = db.storage.uploadFile('x', bytesOf(1_000 * KIB));
  const end = outcome(upload);
  while (upload.progress.sentBytes === 0) await stage.clock.pass(1);
  upload.abort();
  await stage.clock.pass(0);
  expect(end.value).toBe('upload-aborted');
  await stage.settle();
  expect(stage.files.partials.size).toBe(0);
  expect(stage.files.stored.size).toBe(0);
});

test('[J103] two files go up at a time; what is paused makes room', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  const uploads = [1, 2, 3, 4, 5].map((n) => db.storage.uploadFile(`f${n}`, bytesOf(600 * KIB)));
  uploads[0]!.pause();
  await stage.clock.pass(60_000);
  expect(stage.files.atOnce).toBe(2);
  expect(uploads.map(({ state }) => state)).toEqual(['paused', 'done', 'done', 'done', 'done']);
});

test('[J36, J103] an upload never goes on as somebody else', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  const upload = db.storage.uploadFile('x', bytesOf(1_000 * KIB));
  const end = outcome(upload);
  while (upload.progress.sentBytes === 0) await stage.clock.pass(1);
  stage.fetch = null;
  const body = { user: { id: entity(1), refresh_token: entity(2) } };
  stage.answer = () => ({ status: 200, body });
  const signedIn = db.auth.signInAsGuest();
  await stage.clock.pass(0);
  await signedIn;
  stage.fetch = stage.files.fetch;
  await stage.settle();
  expect(end.value).toBe('signed-out');
  expect(stage.files.stored.size).toBe(0);
});

test('[J103] after `shutdown` nothing more is sent', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  const upload = db.storage.uploadFile('x', bytesOf(1_000 * KIB));
  const end = outcome(upload);
  while (upload.progress.sentBytes === 0) await stage.clock.pass(1);
  db.shutdown();
  await stage.clock.pass(2_100);
  expect(end.value).toBe('shut-down');
  const { length } = stage.files.requests;
  await stage.settle();
  expect(stage.files.requests).toHaveLength(length);
});

test('[J104] `delete` says which file it deleted', async () => {
  const stage = new FileStage();
  const db = stage.device();
  await stage.settle();
  const upload = db.storage.uploadFile('a b&c', bytesOf(10));
  await stage.settle();
  const { id } = (await upload).data;
  const deleted = db.storage.delete('a b&c');
  await stage.settle();
  expect(await deleted).toEqual({ data: { id } });
  const none = db.storage.delete('a b&c');
  await stage.settle();
  expect(await none).toEqual({ data: { id: null } });
});

test('[J101] UTF-8 and base64 are those of the platform', () => {
  const random = new Random(5);
  for (let n = 0; n < 300; n++) {
    const codes = Array.from({ length: random.below(12) }, () =>
      random.pick([random.below(0x80), random.below(0x10000), random.below(0x110000)]),
    );
    const text = String.fromCodePoint(...codes);
    const expected = new TextEncoder().encode(text);
    expect(utf8(text)).toEqual([...expected]);
    expect(base64(text)).toBe(Buffer.from(expected).toString('base64'));
  }
});
