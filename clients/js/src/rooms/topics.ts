import { TriceError } from '../errors.ts';

/** Messages that wait for the room; more: the oldest go. */
const WAITING_MAX = 100;

/** event  what the sender gave; peer  what the sender shows, undefined if that is not known */
export type TopicListener = (event: any, peer: any) => void;

/** Who listens to the topics of a room, and what waits until the room is joined. */
export class Topics {
  readonly #listeners = new Map<string, Set<TopicListener>>();
  #waiting: { topic: string; data: unknown }[] = [];

  listen(topic: string, listener: TopicListener): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  tell(topic: string, event: unknown, peer: unknown): void {
    for (const listener of [...(this.#listeners.get(topic) ?? [])]) listener(event, peer);
  }

  /** Keeps a message until the room is joined. Returns an error if another had to go for it. */
  wait(topic: string, data: unknown): TriceError | null {
    this.#waiting.push({ topic, data });
    if (this.#waiting.length <= WAITING_MAX) return null;
    this.#waiting.shift();
    const message = `More than ${WAITING_MAX} messages wait for the room; the oldest go.`;
    return new TriceError({ code: 'topics-dropped', message });
  }

  /** What waited, in order; nothing waits any more. */
  take(): { topic: string; data: unknown }[] {
    return this.#waiting.splice(0);
  }
}
