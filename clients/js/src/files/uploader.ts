import { Http } from '../client/http.ts';
import type { UploadsDeps } from '../client/uploads.ts';
import type { Upload } from '../client/upload.ts';
import { TriceError } from '../errors.ts';
import type { Entry } from '../pending/entry.ts';
import { addressed, changeUpload, stored } from '../pending/upload-changes.ts';
import { uploadable } from '../pending/uploadable.ts';
import { isUnfinished } from '../pending/uploads.ts';
import { partsRange } from '../persistence/part-keys.ts';
import { isOwn } from '../tabs/followed-queue.ts';
import type { HeldUpload } from './held.ts';
import { keptSource } from './kept.ts';
import type { Source } from './source.ts';
import { append, create, type Job, look, type Remote, terminate } from './tus.ts';

/** Files that go up at the same time. */
const AT_ONCE_MAX = 2;

/** A piece: as large as takes about a second, so that progress is seen and little is lost. */
const PIECE_BYTES_MIN = 256 * 1024;
const PIECE_BYTES_MAX = 4 * 1024 * 1024;
const PIECE_MS = 1_000;

/** Failures in a row, without a byte that got through, after which an upload is given up. */
const FAILURES_MAX = 10;
const RETRY_MS = 500;
const RETRY_MS_MAX = 30_000;

/** Codes of errors after which the same request may succeed. */
const RETRY_CODES = new Set([
  'offline',
  'disk-unreadable',
  'rate-limited',
  'overloaded',
  'timeout',
  'unknown',
  'internal',
  'upload-offset-wrong',
  'upload-busy',
]);

/** An upload under way. */
interface Running {
  readonly id: string;
  readonly upload: Upload;
  readonly job: Job;
  remote: Remote | null;
  /** What the server has is not known: it is asked first. */
  isUnsure: boolean;
  pieceBytes: number;
  failures: number;
  isBusy: boolean;
}

/** Sends files, two at a time, each in pieces; after failures from where the server says. */
export class Uploader {
  readonly #appId: string;
  readonly #deps: UploadsDeps;
  readonly #http: Http;
  readonly #held: ReadonlyMap<string, HeldUpload>;
  /** Those that have begun here and are not over, by the id of their entry. */
  readonly #running = new Map<string, Running>();
  /** Makes addresses of files, one at a time. */
  #addressing: Promise<void> = Promise.resolve();
  readonly #addressed = new Set<string>();

  constructor(appId: string, deps: UploadsDeps, held: ReadonlyMap<string, HeldUpload>) {
    this.#appId = appId;
    this.#deps = deps;
    this.#http = new Http(deps.environment, deps.origin);
    this.#held = held;
  }

  /** The queue or the connection changed: starts what may start, and ends what was dropped. */
  look(): void {
    const { queue, session } = this.#deps;
    for (const running of this.#running.values())
      if (!this.#isWanted(running.id) && !running.isBusy) void this.#forget(running);
    for (const entry of queue.entries) if (isUnfinished(entry)) this.#show(entry);
    if (!session.isLive) return;
    for (const entry of uploadable(queue.entries)) {
      const { id } = entry;
      if (!isOwn(queue, entry)) continue;
      const busy = [...this.#running.values()].filter(({ isBusy }) => isBusy).length;
      const isBusy = this.#running.get(id)?.isBusy === true;
      const isQueued = this.#held.get(id)?.upload.state === 'queued';
      if (busy < AT_ONCE_MAX && isQueued && !isBusy && this.#mayBegin) void this.#run(id);
    }
  }

  /** Sends nothing more until it looks again. */
  suspend(): void {
    const all = [...this.#running.values()];
    this.#running.clear();
    for (const running of all) this.#report(running, 'queued');
  }

  /** Nothing more is sent; what the server has stays there. */
  leave(): void {
    this.#running.clear();
    this.#addressed.clear();
  }

  /** Deletes the file of a path. */
  async delete(path: string, token: string | null): Promise<{ data: { id: string | null } }> {
    const init = { method: 'DELETE', headers: headersOf(token) } as const;
    return this.#http.json(this.#address('/storage/files', path), init);
  }

  /** An address from which the file of a path is loaded. */
  async downloadUrl(path: string, token: string | null): Promise<string | null> {
    const address = this.#address('/storage/signed-download-url', path);
    const init = { method: 'GET', headers: headersOf(token) } as const;
    const { data } = await this.#http.json<{ data: string | null }>(address, init);
    return data;
  }

  #address(route: string, path: string): string {
    return `${route}?app_id=${this.#appId}&filename=${encodeURIComponent(path)}`;
  }

  /** Whether it is to be sent, now or later. */
  #isWanted(id: string): boolean {
    const entry = this.#deps.queue.get(id);
    return entry !== undefined && isUnfinished(entry);
  }

  /** Sends until the end, or until the app pauses or drops it, or the connection is lost. */
  async #run(id: string): Promise<void> {
    const running = this.#running.get(id) ?? this.#begin(this.#deps.queue.get(id)!);
    if (running === null) return;
    const { upload } = running;
    running.isBusy = true;
    this.#report(running, 'sending');
    while (this.#maySend(running)) {
      try {
        const before = running.remote?.offset ?? 0;
        await this.#step(running);
        if (running.remote!.offset > before) running.failures = 0;
        this.#took(running);
      } catch (error) {
        await this.#failed(running, error as TriceError);
      }
    }
    running.isBusy = false;
    if (this.#running.get(id) !== running) return;
    if (this.#isWanted(id)) this.#report(running, 'queued');
    else if (upload.state === 'done' || running.remote?.fileId) this.#running.delete(id);
    this.look();
  }

  #begin(entry: Entry): Running | null {
    const held = this.#held.get(entry.id);
    if (!held) return null;
    const upload = entry.upload!;
    const { path, contentType, contentDisposition, fileId, place } = upload;
    const running: Running = {
      id: entry.id,
      upload: held.upload,
      job: {
        appId: this.#appId,
        token: this.#deps.user.token,
        path,
        fileId,
        source: held.source ?? this.#keptSource(entry),
        contentType,
        contentDisposition,
      },
      remote: place === null ? null : { place, offset: 0, fileId: null, tx: null },
      isUnsure: place !== null,
      pieceBytes: PIECE_BYTES_MIN,
      failures: 0,
      isBusy: false,
    };
    this.#running.set(entry.id, running);
    return running;
  }

  /** While another tab may lead, what is on the disk is not begun. */
  get #mayBegin(): boolean {
    const { queue, tabs } = this.#deps;
    return queue.owner !== null || tabs.life?.maySend !== false;
  }

  #maySend(running: Running): boolean {
    const { id, remote } = running;
    const { state } = running.upload;
    const isGoing = state === 'sending' || state === 'queued';
    const isRunning = this.#running.get(id) === running && this.#isWanted(id);
    // An upload that is under way does no harm beside another tab: both ask where the server is.
    const mayGo = remote !== null || this.#mayBegin;
    return isGoing && isRunning && mayGo && this.#deps.session.isLive;
  }

  /** One request. */
  async #step(running: Running): Promise<void> {
    const { environment, queue } = this.#deps;
    const http = this.#http;
    const { id, job, remote } = running;
    const { bytes } = job.source;
    if (remote === null) {
      const isSmall = bytes > 0 && bytes <= PIECE_BYTES_MIN;
      running.remote = await create(http, job, isSmall);
      if (running.remote.fileId === null) changeUpload(queue, id, { place: running.remote.place });
    } else if (running.isUnsure) {
      running.remote = await look(http, job, remote.place!);
      running.isUnsure = false;
    } else {
      const startedAt = environment.now();
      const end = Math.min(bytes, remote.offset + running.pieceBytes);
      running.remote = await append(http, job, remote, end);
      if (environment.now() - startedAt < PIECE_MS)
        running.pieceBytes = Math.min(PIECE_BYTES_MAX, running.pieceBytes * 2);
    }
  }

  /** What the server says of it is told. What was stored before it was dropped stays. */
  #took(running: Running): void {
    const { queue, environment } = this.#deps;
    const { fileId, tx } = running.remote!;
    const isCurrent = this.#running.get(running.id) === running;
    if (fileId === null) return isCurrent ? this.#report(running, 'sending') : undefined;
    const entry = queue.get(running.id);
    if (entry && isOwn(queue, entry)) stored(queue, running.id, fileId, tx, environment.now());
  }

  async #failed(running: Running, error: TriceError): Promise<void> {
    const { queue, environment, session } = this.#deps;
    // The answer to HEAD has no body, and so no code.
    const isLost = running.remote !== null && error.status === 404;
    // What the server forgot begins anew.
    if (isLost) {
      running.remote = null;
      changeUpload(queue, running.id, { place: null });
    }
    running.isUnsure = running.remote !== null;
    running.pieceBytes = PIECE_BYTES_MIN;
    // Without a connection nothing is said about the upload: it waits.
    if (!session.isLive) return;
    running.failures++;
    const mayRetry = isLost || RETRY_CODES.has(error.code) || (error.status ?? 0) >= 500;
    if (!mayRetry || running.failures > FAILURES_MAX) {
      if (this.#running.get(running.id) !== running) return;
      this.#running.delete(running.id);
      return queue.rejected(running.id, error, environment.now());
    }
    const most = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** running.failures);
    const after = error.hint?.['retry-after'];
    const waitMs = typeof after === 'number' ? after : most * (0.5 + environment.random() / 2);
    await new Promise<void>((resolve) => environment.timer(waitMs, resolve));
  }

  /** The app wants no more of it: neither shall the server. */
  async #forget(running: Running): Promise<void> {
    this.#running.delete(running.id);
    const { job, remote } = running;
    if (remote?.place == null || remote.fileId !== null) return;
    // What cannot be said now expires by itself.
    await terminate(this.#http, job, remote.place).catch(() => undefined);
  }

  /** Shows bytes of an earlier start where they are on this device. */
  #show(entry: Entry): void {
    const { environment, queue } = this.#deps;
    const held = this.#held.get(entry.id);
    if (!environment.objectUrl || !held || held.source || this.#addressed.has(entry.id)) return;
    this.#addressed.add(entry.id);
    const { bytes, contentType } = entry.upload!;
    const source = this.#keptSource(entry);
    this.#addressing = this.#addressing.then(async () => {
      try {
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < bytes; at += PIECE_BYTES_MAX)
          pieces.push(await source.read!(at, Math.min(bytes, at + PIECE_BYTES_MAX)));
        if (!this.#isWanted(entry.id) || this.#held.get(entry.id) !== held) return;
        held.address = environment.objectUrl!(pieces, contentType ?? '');
        addressed(queue, entry.id, held.address.url);
      } catch {
        // It is shown without an address; sending it will say what is wrong.
      }
    });
  }

  #keptSource({ id, upload }: Entry): Source {
    const { persistence } = this.#deps;
    return keptSource(upload!, async (from, before) => {
      const rows = await persistence.rows('parts', partsRange(id, from, before));
      return rows.map(([, text]) => text);
    });
  }

  #report({ upload, job, remote }: Running, state: 'queued' | 'sending'): void {
    if (upload.isOver) return;
    upload.report(state, { sentBytes: remote?.offset ?? 0, totalBytes: job.source.bytes });
  }
}

function headersOf(token: string | null): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` };
}
