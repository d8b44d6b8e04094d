import type { Explain } from './errors.ts';

/**
 * What failures of the client say, by the name under which they are made; `{label}` is of the hint.
 * Apps match codes, so these texts are fetched after the first paint.
 */
const EXPLANATIONS: Readonly<Record<string, string>> = {
  'config-malformed/path':
    '`firstPartyPath` is a path of your own server, such as `/api/trice`, not {firstPartyPath}.',
  'call-kept': 'The call waits on this device, and leaves when its user is signed in again.',
  'call-lost': 'The connection was lost before the action was answered; it may have run.',
  'call-too-big': 'The arguments of a call have at most {max} bytes of JSON, not {bytes}.',
  dropped: 'The write was dropped before it was sent.',
  offline: 'The server cannot be reached, so nothing can be asked of it.',
  'param-missing/stream': '`createReadStream` needs a `clientId` or a `streamId`.',
  'part-missing': 'Code that is needed for this could not be fetched.',
  'file-malformed': 'A file, a Blob, an ArrayBuffer or a Uint8Array can be uploaded.',
  'pending-full': '{count} writes wait for the server; {max} may, so no more are taken.',
  'pending-full/bytes':
    'Writes of {taken} bytes wait for the server, and {bytes} more are too many: {max} may.',
  'passkey-failed': 'The passkey was not used: {reason}.',
  'passkeys-missing': 'Passkeys need a newer browser, and https or localhost.',
  'pending-sent': 'The write is {state}, and cannot be dropped.',
  'pending-state': 'The write is {state}, not rejected.',
  'pending-state/upload': 'The upload {id}, whose file it names, was dropped: edit or drop it.',
  'query-malformed/list':
    'An infinite query has exactly one form, such as {todos: {$: {limit: 20}}}.',
  'query-malformed/totals': '`{label}` asks for no totals: write {$: {aggregate: {count: true}}}.',
  'shut-down': 'The database was shut down; make another with `init`.',
  'sign-in-refused': 'The provider did not sign in: {reason}.',
  'signed-out/account': 'Nobody is signed in.',
  'signed-out/call': 'Somebody else is signed in: the call was given up.',
  'signed-out/write': 'The user signed out before the write was sent.',
  'streams-missing': 'There is no ReadableStream and WritableStream here: load a polyfill.',
  timeout: 'The query was not answered within {seconds} s.',
  'transaction-malformed':
    '`transact` takes what `db.tx` builds: db.tx.todos[id()].update({…}), or an array.',
  'signed-out/upload': 'Somebody else is signed in. What was saved goes on when its user is back.',
  'transaction-too-big':
    'A transaction has at most {max} steps (fields, links, deletions and ids), not {steps}.',
  'transaction-too-big/bytes': 'A transaction has at most {max} bytes of JSON, not {bytes}.',
  'unknown-name': 'The schema has no `{etype}.{label}`; known are: {known}.',
  'upload-aborted': 'The upload was aborted.',
  'upload-failed': 'The file `{path}`, which the write names, was not uploaded.',
  'upload-lost': 'The bytes of `{path}` that were kept on this device are gone.',
  'upload-too-big':
    'The file of {bytes} bytes is too big to wait for the server: a file may have {max}, and all' +
    ' that wait {max-all}, of which {taken} are taken.',
};

/** The sentence of a failure, with what its hint says in it. */
export const explain: Explain = (name, hint) =>
  EXPLANATIONS[name]?.replace(/\{([\w-]+)\}/g, (whole, label: string) =>
    String(hint?.[label] ?? whole),
  ) ?? `${name} ${JSON.stringify(hint ?? {})}`;
