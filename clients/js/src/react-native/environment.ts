import type {
  Environment,
  FetchAnswer,
  FetchInit,
  Socket,
  SocketHandlers,
} from '../client/environment.ts';
import { TriceError } from '../errors.ts';
import { idMaker } from '../web/id.ts';
import { openEventsLater, openSocket, type WebSocketLike } from '../web/socket.ts';
import { streamMaker } from '../web/streams.ts';
import type { AppState, NetState, Packages } from './packages.ts';
import { type RequestLike, requestGlobals } from './requests.ts';
import type { DeviceStorage } from './storage.ts';

/** What this file takes of React Native, all of which it has since version 0.60. */
export interface NativeGlobals {
  readonly fetch: (url: string, init: FetchInit) => Promise<FetchAnswer>;
  readonly WebSocket: new (url: string) => WebSocketLike;
  readonly XMLHttpRequest: new () => RequestLike;
  readonly setTimeout: (then: () => void, delayMs: number) => unknown;
  readonly clearTimeout: (timer: never) => void;
  /** Where the app, or a package of it, has added it. */
  readonly crypto?: { getRandomValues?(bytes: Uint8Array): unknown };
}

/** React Native does not tell everywhere when it is idle: it is taken to be so after this. */
const IDLE_MS = 2_000;

/** The environment of an app on a device. `storage` null: nothing survives it. */
export function nativeEnvironment(
  storage: DeviceStorage | null,
  packages: Packages,
  globals = globalThis as unknown as NativeGlobals,
): Environment {
  return {
    now: () => Date.now(),
    random: () => Math.random(),
    id: idMaker(Date.now, randomSource(packages, globals)),
    timer(delayMs, then) {
      const timer = globals.setTimeout(then, delayMs);
      return () => globals.clearTimeout(timer as never);
    },
    socket: (url, handlers) => socketOf(globals, url, handlers),
    fetch: (url, init) => globals.fetch(url, init),
    streams: streamMaker(globals),
    storage: storage?.texts ?? textsInMemory(),
    disks: storage?.disks,
    // The code is in the bundle; running it waits until the first screen is there.
    onIdle: (then) => void globals.setTimeout(then, IDLE_MS),
    onHide: (then) => listenForHiding(packages.appState, then),
    onWake: (wake) => listenForWaking(packages, wake),
  };
}

/** Random bytes that nobody can guess; throws where there are none. */
export function randomSource(
  { expoCrypto }: Packages,
  { crypto }: Pick<NativeGlobals, 'crypto'> = globalThis as unknown as NativeGlobals,
): (bytes: Uint8Array) => void {
  if (crypto?.getRandomValues) return (bytes) => crypto.getRandomValues!(bytes);
  if (expoCrypto) return (bytes) => expoCrypto.getRandomValues(bytes);
  throw new TriceError({
    code: 'randomness-missing',
    message:
      'Ids need random numbers, which React Native does not have: install expo-crypto or ' +
      'react-native-get-random-values, and build the app anew.',
  });
}

function socketOf(globals: NativeGlobals, url: string, handlers: SocketHandlers): Socket {
  if (url.startsWith('http'))
    return openEventsLater(requestGlobals(globals.XMLHttpRequest), url, handlers);
  return openSocket(new globals.WebSocket(url), handlers);
}

function textsInMemory(): Environment['storage'] {
  const texts = new Map<string, string>();
  return {
    get: async (key) => texts.get(key) ?? null,
    set: async (key, value) => void texts.set(key, value),
    remove: async (key) => void texts.delete(key),
  };
}

/** An app that is not in front may be ended at any time, without a word. */
function listenForHiding(appState: AppState | undefined, then: () => void): () => void {
  const listening = appState?.addEventListener('change', (state) => {
    if (state !== 'active') then();
  });
  return () => listening?.remove();
}

/**
 * What NetInfo says is a hint to try: it forbids nothing, and whether the internet can be reached
 * it gets wrong for a minute after an app comes to the front (netinfo 326).
 */
function listenForWaking({ appState, netInfo }: Packages, wake: () => void): () => void {
  const listening = appState?.addEventListener('change', (state) => {
    if (state === 'active') wake();
  });
  let before: NetState | null = null;
  const stop = netInfo?.addEventListener((state) => {
    const isOther =
      before !== null && (before.type !== state.type || before.isConnected !== state.isConnected);
    before = { type: state.type, isConnected: state.isConnected };
    if (isOther && state.isConnected !== false) wake();
  });
  return () => {
    listening?.remove();
    stop?.();
  };
}
