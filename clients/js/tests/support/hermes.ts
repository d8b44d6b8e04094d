/**
 * The React Native entry, bundled, in a realm of its own that has what Hermes and React Native
 * have, and nothing else: no Node, no DOM, and of JavaScript's library what is older than 2023.
 */
import { join } from 'node:path';
import vm from 'node:vm';
import { rolldown } from 'rolldown';
import type * as Entry from '../../src/react-native/index.ts';
import type { Stage } from './stage.ts';

const ENTRY = join(import.meta.dirname, '../../src/react-native/index.ts');

/** Packages that an app may have. */
const PACKAGES = [
  'react',
  'react-native',
  'expo-crypto',
  'expo-sqlite',
  'react-native-mmkv',
  'react-native-get-random-values',
  '@react-native-async-storage/async-storage',
  '@react-native-community/netinfo',
];

/** What must not be there: of Node, of the DOM, and of engines that are newer than devices'. */
export const MISSING = [
  ...['structuredClone', 'BroadcastChannel', 'crypto', 'AbortSignal', 'EventTarget', 'Event'],
  ...['DOMException', 'TextDecoder', 'TextEncoder', 'atob', 'btoa', 'queueMicrotask'],
  ...['performance', 'navigator', 'localStorage', 'indexedDB', 'document', 'window'],
  ...['process', 'Buffer', 'ReadableStream', 'WritableStream', 'URL', 'Blob'],
  ...['WeakRef', 'FinalizationRegistry', 'SharedArrayBuffer', 'Atomics', 'WebAssembly'],
];

const YOUNG = `
  for (const name of ${JSON.stringify(MISSING)}) delete globalThis[name];
  for (const name of ['findLast', 'findLastIndex', 'toSorted', 'toReversed', 'toSpliced', 'with'])
    delete Array.prototype[name];
  for (const name of ['isWellFormed', 'toWellFormed']) delete String.prototype[name];
  for (const name of ['union', 'intersection', 'difference']) delete Set.prototype[name];
  // Babel takes names out of groups in literals, and only there.
  const Native = RegExp;
  RegExp = function (source, flags) {
    if (/\\(\\?<[a-z]/i.test(source)) throw new SyntaxError('Groups have no names here.');
    return new Native(source, flags);
  };
  RegExp.prototype = Native.prototype;
  delete Object.groupBy; delete Map.groupBy; delete Promise.withResolvers; delete Array.fromAsync;
`;

/** The entry as one script, as Metro makes one. */
export async function bundled(): Promise<string> {
  const bundle = await rolldown({ input: ENTRY, external: PACKAGES, logLevel: 'silent' });
  const { output } = await bundle.generate({ format: 'cjs', codeSplitting: false });
  await bundle.close();
  return output[0].code;
}

/** An app that runs. */
export interface App {
  readonly entry: typeof Entry;
  /** The system ends it: nothing happens in it any more. */
  die(): void;
}

/**
 * Starts an app on a stage.
 *
 * packages  what it has installed; a function is given the globals, and makes the package
 */
export function start(
  code: string,
  stage: Stage,
  packages: Readonly<Record<string, unknown>>,
): App {
  const { clock, network, random } = stage;
  let isDead = false;
  const sockets: (() => void)[] = [];
  const alive = (then: () => void) => {
    if (!isDead) then();
  };
  class WebSocket {
    readyState = 0;
    onopen = () => {};
    onmessage = (_: { data: string }) => {};
    onclose = (_: { code: number }) => {};
    send: (text: string) => void;
    close: () => void;

    constructor(url: string) {
      const socket = network.connect(url, {
        opened: () => {
          this.readyState = 1;
          alive(() => this.onopen());
        },
        message: (data) => alive(() => this.onmessage({ data })),
        closed: (code) => {
          this.readyState = 3;
          alive(() => this.onclose({ code }));
        },
      });
      sockets.push(() => socket.close());
      this.send = (text) => socket.send(text);
      this.close = () => socket.close();
    }
  }
  class FailingRequest {
    onerror = () => {};
    open(): void {}
    setRequestHeader(): void {}
    abort(): void {}
    send(): void {
      clock.timer(1, () => alive(() => this.onerror()));
    }
  }
  const timers = new Map<number, () => void>();
  const module = { exports: {} };
  const context: object = vm.createContext({
    module,
    exports: module.exports,
    WebSocket,
    XMLHttpRequest: FailingRequest,
    fetch: () => Promise.reject(new Error('The stage has no HTTP, nor event streams.')),
    setTimeout: (then: () => void, delayMs: number) => {
      timers.set(
        timers.size,
        clock.timer(delayMs, () => alive(then)),
      );
      return timers.size - 1;
    },
    clearTimeout: (timer: number) => timers.get(timer)?.(),
    require: (name: string) => {
      const found = packages[name];
      if (typeof found === 'function') return (found as (globals: object) => unknown)(context);
      if (found) return found;
      throw new Error(`Requiring unknown module "${name}".`);
    },
    now: () => clock.now,
    random: () => random.next(),
  });
  vm.runInContext(`${YOUNG}; Date.now = now; Math.random = random;`, context);
  vm.runInContext(code, context, { filename: 'tricedb-react-native.js' });
  return {
    entry: module.exports as typeof Entry,
    die: () => {
      isDead = true;
      for (const close of sockets) close();
    },
  };
}

/** What of `MISSING` a realm has all the same. */
export function foundMissing(): string[] {
  const context: object = vm.createContext({});
  vm.runInContext(YOUNG, context);
  return MISSING.filter((name) => vm.runInContext(`typeof ${name}`, context) !== 'undefined');
}
