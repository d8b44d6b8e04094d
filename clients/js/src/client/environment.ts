import type { Disks } from './disk.ts';
import type { PasskeyDevice } from './passkeys.ts';
import type { TabPlatform } from './tab-platform.ts';

/**
 * What the client needs of the place it runs in. Tests and React Native give others; nothing else
 * in the package reads a clock, draws random numbers, or opens a connection.
 */
export interface Environment {
  /** Milliseconds since 1970. */
  now(): number;
  /** Milliseconds since some moment, with fractions, by a clock that is never set; for tracing. */
  elapsedMs?(): number;
  /** A number from 0 on, below 1. */
  random(): number;
  /** A new UUID of version 7: they sort in the order in which they are made. */
  id(): string;
  /**
   * Calls `then` after so many milliseconds. Returns a function that keeps it from being called.
   */
  timer(delayMs: number, then: () => void): () => void;
  /**
   * Opens a WebSocket for an address of `ws` or `wss`, and for one of `http` or `https` an event
   * stream with pushes. What cannot be opened is closed. Handlers are never called from within
   * `socket`.
   */
  socket(url: string, handlers: SocketHandlers): Socket;
  /** Sends one request. Rejects where there is no answer. */
  fetch(url: string, init: FetchInit): Promise<FetchAnswer>;
  /** Streams of the web, where the platform has them. */
  readonly streams?: StreamMaker | undefined;
  /** Texts that survive the page: who is signed in. */
  readonly storage: TextStorage;
  /** Where answers and writes that wait survive the page. Without it they do not. */
  readonly disks?: Disks | undefined;
  /** What tabs of one browser share, where the platform has it. */
  readonly tabs?: TabPlatform | undefined;
  /** The address of the page, where there is one: providers send people back to it. */
  readonly address?: PageAddress | undefined;
  /** Pages are made here, for many users: nothing is connected, and nothing kept. */
  readonly isServer?: boolean;
  /** What holds the user's passkeys, where the platform has it. */
  passkeys?(): Promise<PasskeyDevice | undefined>;
  /**
   * Makes an address of this page for bytes or a Blob, given in pieces; without it files that wait
   * have none.
   */
  objectUrl?(pieces: readonly object[], contentType: string): ObjectUrl;
  /** Calls `then` when the page is hidden: it may never be seen again. Returns what ends it. */
  onHide?(then: () => void): () => void;
  /**
   * Calls `then` once, when the place has nothing else to do: code that is not needed at first is
   * fetched then. Without this, it is when it is first used.
   */
  onIdle?(then: () => void): void;
  /** Whether nobody sees the page. Without it the client acts as if somebody did. */
  isHidden?(): boolean;
  /** Calls `wake` when the network is back or the page is seen again. Returns what ends it. */
  onWake(wake: () => void): () => void;
}

/** An address of bytes of this page, such as `blob:…`. */
export interface ObjectUrl {
  readonly url: string;
  /** Lets go of the bytes: the address leads nowhere any more. */
  revoke(): void;
}

export interface SocketHandlers {
  opened(): void;
  message(text: string): void;
  /** The end, whoever caused it. */
  closed(code: number): void;
}

export interface Socket {
  send(text: string): void;
  close(): void;
}

export interface FetchInit {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD' | 'PATCH';
  readonly headers: Readonly<Record<string, string>>;
  /** Text, bytes, or a Blob where the platform has it. */
  readonly body?: string | object;
}

export interface FetchAnswer {
  readonly status: number;
  /** Headers of the answer, by name in any case; uploads need them. */
  readonly headers?: { get(name: string): string | null };
  text(): Promise<string>;
}

/** Texts by key. Each call may fail; the client then goes on without. */
export interface TextStorage {
  /** The text of a key; null if there is none. */
  get(key: string): Promise<string | null>;
  /** Keeps a text in the place of what the key had. */
  set(key: string, value: string): Promise<void>;
  /** Removes a key; does nothing if there is none. */
  remove(key: string): Promise<void>;
  /**
   * Calls `tell` when another tab changed a text; null: it was removed. Missing where no other tab
   * can. Returns what ends it.
   */
  watch?(key: string, tell: (value: string | null) => void): () => void;
}

/** The parameters of a page's address. */
export interface PageAddress {
  get(name: string): string | null;
  /** Takes some out, and stays where the page is: no step to go back to. */
  remove(names: readonly string[]): void;
}

/** Makes streams of the platform out of what they read from, or write to. */
export interface StreamMaker {
  readable(source: TextSource): object;
  writable(sink: TextSink): object;
}

/** Where a readable stream takes its texts from, one when one is asked for. */
export interface TextSource {
  /** The next text; null: that was all. */
  next(): Promise<string | null>;
  /** Nobody reads any more. */
  cancel(): Promise<void>;
}

/** Where a writable stream puts its texts, one after the other. */
export interface TextSink {
  write(text: string): Promise<void>;
  close(): Promise<void>;
  abort(reason: unknown): Promise<void>;
  /** Rejects if the stream fails while nobody writes. */
  readonly failed: Promise<void>;
}
