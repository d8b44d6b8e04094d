import * as tus from 'tus-js-client';
import { appId, server } from './settings';

/** What becomes of a picture that is being sent. */
interface Outcome {
  readonly onProgress: (sent: number) => void;
  /** The server has it as the file of this id. */
  readonly onStored: (fileId: string) => void;
  readonly onFailure: (error: unknown) => void;
}

/**
 * A picture on its way to the server, in parts that outlive reloads of the page and restarts of the
 * server (tus). Its URL is kept in this browser under `id`; whoever has the same `id` goes on.
 */
export function transferOf(
  { id, file, path }: { readonly id: string; readonly file: File; readonly path: string },
  outcome?: Outcome,
): tus.Upload {
  return new tus.Upload(file, {
    endpoint: `${server}/storage/tus`,
    headers: { 'app-id': appId },
    metadata: { path, contentType: file.type },
    fingerprint: () => Promise.resolve(id),
    removeFingerprintOnSuccess: true,
    retryDelays: [0, 500, 2_000, 5_000],
    onProgress: (sent) => outcome?.onProgress(sent),
    onSuccess: ({ lastResponse }) => outcome?.onStored(lastResponse.getHeader('trice-file-id')!),
    onError: (error) => outcome?.onFailure(error),
  });
}

/** Send it, from where the server has it; nothing happens if `isWanted` is false by then. */
export async function start(transfer: tus.Upload, isWanted: () => boolean): Promise<void> {
  const [begun] = await transfer.findPreviousUploads();
  if (!isWanted()) return;
  if (begun !== undefined) transfer.resumeFromPreviousUpload(begun);
  transfer.start();
}

/** Give it up. What the server has of it goes now, or after a day if it cannot be told. */
export async function giveUp(transfer: tus.Upload): Promise<void> {
  await transfer.abort();
  const [begun] = await transfer.findPreviousUploads();
  if (begun === undefined) return;
  tus.defaultOptions.urlStorage.removeUpload(begun.urlStorageKey).catch(console.error);
  if (begun.uploadUrl) tus.Upload.terminate(begun.uploadUrl, transfer.options).catch(console.error);
}

/** What the server answered, if it refused a picture for good; null if it may be tried again. */
export function refusalOf(error: unknown): { readonly body: unknown } | null {
  const answer = error instanceof tus.DetailedError ? error.originalResponse : null;
  const status = answer?.getStatus() ?? 0;
  if (status < 400 || status >= 500 || [408, 409, 423, 429].includes(status)) return null;
  try {
    return { body: JSON.parse(answer!.getBody()) };
  } catch {
    return { body: null };
  }
}
