import { type AnyChunk, operationsOf } from '../pending/builder.ts';
import type { Entry } from '../pending/entry.ts';
import type { Queue } from '../pending/queue.ts';
import type { Environment } from './environment.ts';

/**
 * The writes and calls that wait, and those that the server refused: the app may look, retry, edit,
 * drop.
 */
export class Pending {
  readonly #queue: Queue;
  readonly #environment: Environment;
  readonly #push: () => void;

  constructor(queue: Queue, environment: Environment, push: () => void) {
    this.#queue = queue;
    this.#environment = environment;
    this.#push = push;
  }

  /** All of them, in order. The same array until one changes. */
  list(): readonly Entry[] {
    return this.#queue.entries;
  }

  /** Writes that the server has not taken yet; rejected ones do not count. */
  get count(): number {
    return this.#queue.waiting.length;
  }

  get(id: string): Entry | undefined {
    return this.#queue.get(id);
  }

  /** Calls `tell` after each change. Returns what ends it. */
  subscribe(tell: () => void): () => void {
    return this.#queue.observe(tell);
  }

  /** Sends a rejected write again as it was, or an uncertain one if it was not applied. */
  retry(id: string): void {
    this.#queue.retry(id);
    this.#push();
  }

  /** Sends something else in the place of a rejected write. Returns its new id. */
  edit(id: string, chunk: AnyChunk | readonly AnyChunk[]): string {
    const newId = this.#environment.id();
    this.#queue.edit(id, newId, operationsOf(chunk));
    this.#push();
    return newId;
  }

  /**
   * Forgets a write that was rejected, is uncertain, or was not sent yet. An upload that is dropped
   * ends, and what names its file is rejected.
   */
  drop(id: string): void {
    this.#queue.drop(id, this.#environment.now());
    this.#push();
  }

  /**
   * Calls `tell` with each rejected write that is kept no longer: the oldest of more than 200, and
   * those of more than 30 days ago. Returns what ends it.
   */
  onForget(tell: (write: Entry) => void): () => void {
    return this.#queue.onForget(tell);
  }
}
