/**
 * Requests of tus 1.0.0 (tus.io/protocols/resumable-upload): creation, parts, offset, termination.
 * Where a server has no such routes, a file goes up in one request (instant-http §2.2).
 */
import type { Http, HttpAnswer } from '../client/http.ts';
import { TriceError } from '../errors.ts';
import type { Source } from './source.ts';
import { base64, utf8 } from '../values/utf8.ts';

/** What is uploaded, and as whom: fixed at the beginning, for the server asks for the same. */
export interface Job {
  readonly appId: string;
  readonly token: string | null;
  readonly path: string;
  /** The id that a new row shall have; servers of another make choose one. */
  readonly fileId: string;
  readonly source: Source;
  readonly contentType: string | undefined;
  readonly contentDisposition: string | undefined;
}

/** How far an upload is on the server. */
export interface Remote {
  /** The path of the upload; null: the file went up in one request. */
  readonly place: string | null;
  readonly offset: number;
  /** The id of the file, once it is stored. */
  readonly fileId: string | null;
  /** The transaction that stored it, where the server says so. */
  readonly tx: number | null;
}

const PART = 'application/offset+octet-stream';

/** Begins an upload; `withBody` sends all bytes along. */
export async function create(http: Http, job: Job, withBody: boolean): Promise<Remote> {
  const { source, path, fileId, contentType, contentDisposition } = job;
  const metadata = Object.entries({ path, fileId, contentType, contentDisposition })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${base64(value!)}`);
  const headers = {
    ...headersOf(job),
    'upload-length': String(source.bytes),
    'upload-metadata': metadata.join(','),
  };
  try {
    const answer = await http.ask('/storage/tus', {
      method: 'POST',
      headers: withBody ? { ...headers, 'content-type': PART } : headers,
      ...(withBody ? { body: await source.piece(0, source.bytes) } : {}),
    });
    return remoteOf(answer, pathOf(answer.header('location') ?? '', http.origin));
  } catch (error) {
    const { status, code } = error as TriceError;
    const hasNoTus = (status === 404 || status === 405) && code !== 'upload-not-found';
    if (hasNoTus) return put(http, job);
    throw error;
  }
}

/** Adds bytes to an upload. */
export async function append(
  http: Http,
  job: Job,
  { place, offset }: Remote,
  end: number,
): Promise<Remote> {
  const answer = await http.ask(place!, {
    method: 'PATCH',
    headers: { ...headersOf(job), 'content-type': PART, 'upload-offset': String(offset) },
    body: await job.source.piece(offset, end),
  });
  return remoteOf(answer, place);
}

/** Asks how far an upload is. */
export async function look(http: Http, job: Job, place: string): Promise<Remote> {
  return remoteOf(await http.ask(place, { method: 'HEAD', headers: headersOf(job) }), place);
}

/** Ends an upload; the server forgets its bytes. */
export async function terminate(http: Http, job: Job, place: string): Promise<void> {
  await http.ask(place, { method: 'DELETE', headers: headersOf(job) });
}

async function put(http: Http, job: Job): Promise<Remote> {
  const { source, contentType, contentDisposition } = job;
  const answer = await http.ask('/storage/upload', {
    method: 'PUT',
    headers: {
      ...headersOf(job),
      // Headers take the characters of Latin-1: those of the path's UTF-8.
      path: String.fromCharCode(...utf8(job.path)),
      'content-type': contentType ?? 'application/octet-stream',
      ...(contentDisposition === undefined ? {} : { 'content-disposition': contentDisposition }),
    },
    body: await source.piece(0, source.bytes),
  });
  const { data } = answer.json as { data: { id: string } };
  return { place: null, offset: source.bytes, fileId: data.id, tx: null };
}

function headersOf({ appId, token }: Job): Record<string, string> {
  return {
    'tus-resumable': '1.0.0',
    'app-id': appId,
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  };
}

function remoteOf(answer: HttpAnswer, place: string | null): Remote {
  const tx = answer.header('trice-tx-id');
  return {
    place,
    offset: Number(answer.header('upload-offset') ?? 0),
    fileId: answer.header('trice-file-id'),
    tx: tx === null ? null : Number(tx),
  };
}

/** Servers may tell an address or a path; below a prefix, `origin` and both have it. */
function pathOf(location: string, origin: string): string {
  if (location.startsWith(origin)) return location.slice(origin.length);
  const prefix = origin.replace(/^\w+:\/\/[^/]*/, '');
  return location.startsWith(`${prefix}/`) ? location.slice(prefix.length) : location;
}
