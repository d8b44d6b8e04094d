import type { Later } from './later.ts';

/** What tabs of one browser share: locks, and channels of texts. */
export interface TabPlatform {
  /**
   * Asks for a lock that one tab holds at a time, until it lets go or is gone.
   *
   * how      now: at once or not at all; wait: in turn; steal: at once, whoever holds it
   * returns  lets go of it, or asks for it no longer; nothing is told after that
   */
  lock(name: string, how: 'now' | 'wait' | 'steal', handlers: LockHandlers): () => void;
  /** What is heard beside it, by code that comes later. */
  signals(code: Later): TabSignals;
}

/** What tabs of one browser hear. */
export interface TabSignals {
  /** Joins a channel: what one tab sends the others hear, in order, unless they join later. */
  channel(name: string, heard: (text: string) => void): TabChannel;
  /** Calls `then` when the page is about to be frozen, or kept for going back. */
  onFreeze(then: () => void): () => void;
  /** Calls `then` when the page goes on after that. */
  onResume(then: () => void): () => void;
}

export interface LockHandlers {
  granted(): void;
  /** Another tab holds it; only with `now`. */
  refused?(): void;
  /** Another tab stole it. */
  stolen(): void;
}

export interface TabChannel {
  send(text: string): void;
  close(): void;
}
