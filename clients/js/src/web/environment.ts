import { fetchLater } from '../client/code.ts';
import { type Disks, fetchDiskCode } from '../client/disk.ts';
import type { Environment, ObjectUrl, TextStorage } from '../client/environment.ts';
import { type AddressGlobals, pageAddress, type UrlMaker } from './address.ts';
import type { EventGlobals } from './events.ts';
import { idMaker } from './id.ts';
import type { IndexedDbGlobals } from './indexeddb.ts';
import { type LockGlobals, tabPlatform } from './locks.ts';
import type { PasskeyGlobals } from './passkeys.ts';
import { LOST, openEventsLater, openSocket, type WebSocketLike } from './socket.ts';
import { streamMaker } from './streams.ts';

/** What this file takes of a browser; Node has most of it too. */
interface Globals
  extends
    EventGlobals,
    AddressGlobals,
    PasskeyGlobals,
    Target,
    Pick<LockGlobals, 'BroadcastChannel'>,
    Partial<Pick<IndexedDbGlobals, 'indexedDB' | 'IDBKeyRange'>> {
  readonly performance?: { now(): number };
  readonly crypto: { getRandomValues(bytes: Uint8Array): unknown };
  /** Missing in Node before version 22. */
  readonly WebSocket?: new (url: string) => WebSocketLike;
  readonly setTimeout: (then: () => void, delayMs: number) => unknown;
  readonly clearTimeout: (timer: never) => void;
  readonly localStorage?: {
    getItem(key: string): string | null;
    setItem(key: string, value: string): void;
    removeItem(key: string): void;
  };
  readonly Blob?: new (pieces: readonly object[], options: { type: string }) => object;
  readonly URL?: UrlMaker & {
    createObjectURL?(blob: object): string;
    revokeObjectURL?(url: string): void;
  };
  readonly requestIdleCallback?: (then: () => void) => unknown;
  readonly document?: Target & { readonly visibilityState: string };
}

interface Target {
  readonly addEventListener?: (type: string, listener: (event: never) => void) => void;
  readonly removeEventListener?: (type: string, listener: (event: never) => void) => void;
}

/** Where the platform does not say when it is idle, it is taken to be so after this. */
const IDLE_MS = 2_000;

/** The environment of a browser, and of Node: without WebSocket it uses event streams. */
export function webEnvironment(globals = globalThis as unknown as Globals): Environment {
  return {
    now: () => Date.now(),
    elapsedMs: () => globals.performance?.now() ?? Date.now(),
    random: () => Math.random(),
    id: webIds(globals),
    timer(delayMs, then) {
      const timer = globals.setTimeout(then, delayMs);
      return () => globals.clearTimeout(timer as never);
    },
    socket(url, handlers) {
      if (url.startsWith('http')) return openEventsLater(globals, url, handlers);
      if (globals.WebSocket) return openSocket(new globals.WebSocket(url), handlers);
      globals.setTimeout(() => handlers.closed(LOST), 0);
      return { send: () => {}, close: () => {} };
    },
    fetch: (url, init) => globals.fetch(url, init),
    streams: streamMaker(globals),
    storage: storageOf(globals),
    disks: disksOf(globals),
    tabs: tabPlatform(globals as LockGlobals),
    address: pageAddress(globals),
    passkeys: async () => (await fetchLater()).passkeysOf(globals),
    onIdle(then) {
      if (globals.requestIdleCallback) globals.requestIdleCallback(then);
      else globals.setTimeout(then, IDLE_MS);
    },
    ...(globals.document
      ? { objectUrl: (pieces, type) => objectUrlOf(globals, pieces, type) }
      : {}),
    isHidden: () => globals.document?.visibilityState === 'hidden',
    onHide: (then) => listenForHiding(globals, then),
    onWake: (wake) => listenForWaking(globals, wake),
  };
}

/** Makes ids by the clock and the random numbers of a browser. */
export function webIds(
  globals: Pick<Globals, 'crypto'> = globalThis as unknown as Globals,
): () => string {
  return idMaker(Date.now, (bytes) => globals.crypto.getRandomValues(bytes));
}

/** An address of `blob:`, which images and links of this page take. */
function objectUrlOf(globals: Globals, pieces: readonly object[], type: string): ObjectUrl {
  const { Blob, URL } = globals;
  const url = URL!.createObjectURL!(new Blob!(pieces, { type }));
  return { url, revoke: () => URL!.revokeObjectURL!(url) };
}

/** Browsers may forbid storage, and throw where it is only named. */
function storageOf(globals: Globals): TextStorage {
  const memory = new Map<string, string>();
  const store = () => {
    try {
      return globals.localStorage;
    } catch {
      return undefined;
    }
  };
  return {
    get: async (key) => store()?.getItem(key) ?? memory.get(key) ?? null,
    set: async (key, value) => {
      memory.set(key, value);
      store()?.setItem(key, value);
    },
    remove: async (key) => {
      memory.delete(key);
      store()?.removeItem(key);
    },
    watch: (key, tell) => {
      const changed = (event: { key: string | null; newValue: string | null }) => {
        // Without a key all texts were removed.
        if (event.key === key || event.key === null) tell(event.newValue);
      };
      globals.addEventListener?.('storage', changed);
      return () => globals.removeEventListener?.('storage', changed);
    },
  };
}

/** Without IndexedDB, as in Node, nothing survives. Browsers may throw where it is only named. */
function disksOf(globals: Globals): Disks | undefined {
  try {
    if (!globals.indexedDB) return undefined;
  } catch {
    return undefined;
  }
  const disks = async () =>
    (await fetchDiskCode()).indexedDbDisks(globals as unknown as IndexedDbGlobals);
  return {
    open: async (name) => (await disks()).open(name),
    quotaBytes: async () => (await disks()).quotaBytes!(),
  };
}

/** No `beforeunload`: a page that listens to it is not kept for going back. */
function listenForHiding(globals: Globals, then: () => void): () => void {
  return allOf(listen(globals, 'pagehide', then), listenForSight(globals, 'hidden', then));
}

function listenForWaking(globals: Globals, wake: () => void): () => void {
  return allOf(
    listen(globals, 'online', wake),
    listen(globals, 'pageshow', wake),
    listenForSight(globals, 'visible', wake),
  );
}

function listenForSight({ document }: Globals, state: string, then: () => void): () => void {
  return listen(document, 'visibilitychange', () => {
    if (document?.visibilityState === state) then();
  });
}

function listen(target: Target | undefined, type: string, listener: () => void): () => void {
  target?.addEventListener?.(type, listener);
  return () => target?.removeEventListener?.(type, listener);
}

function allOf(...stops: readonly (() => void)[]): () => void {
  return () => stops.forEach((stop) => stop());
}
