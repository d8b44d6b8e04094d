import { expect, test } from 'vitest';
import { PlatformApi } from '../../src/platform/api.ts';
import type { BackupFile } from '../../src/platform/backups.ts';
import { HttpStage, Wire } from '../support/http-stage.ts';

/** What is listed, and the code of the error that ends the list, if one does. */
async function listed(pieces: readonly string[]) {
  const stage = new HttpStage();
  const wire = new Wire();
  stage.answer = () => wire;
  for (const piece of pieces) wire.send(piece);
  wire.end();
  const api = new PlatformApi({ auth: { token: 't' } }, stage.environment);
  const files: BackupFile[] = [];
  try {
    for await (const file of api.backups('app').streamStorageFiles('b')) files.push(file);
  } catch (error) {
    return { files, code: (error as { code: string }).code };
  }
  expect(stage.last.headers.authorization).toBe('Bearer t');
  return { files, code: null };
}

const row = (locationId: unknown, url: unknown = 'u') =>
  `${JSON.stringify({ locationId, path: 'a', url })}\n`;

test('[J129] the list of files is read in any pieces, up to its end', async () => {
  const text = `${row('one')}\n${row('two')}{"done":true}`;
  const files = ['one', 'two'].map((locationId) => ({ locationId, path: 'a', url: 'u' }));
  expect(await listed([text])).toEqual({ files, code: null });
  expect(await listed([...text])).toEqual({ files, code: null });
});

test('[J129] a list that ends before its end, or has a row that is none, is an error', async () => {
  for (const text of [row('one'), '', '[]\n', row('a/b'), row('..'), row('a\u0007'), row('a', '')])
    expect((await listed([text])).code).toBe('answer-malformed');
  expect((await listed([row('a\\b')])).code).toBe('answer-malformed');
});
