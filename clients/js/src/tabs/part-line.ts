import type { Session } from '../client/session.ts';
import type { Tabs } from '../client/tabs.ts';
import type { Message, Part, PartSession } from '../session/part.ts';

/** Of each tab that has rooms or streams, or may have them. */
const LINES = new WeakMap<Tabs, PartLine>();

/** The session on which the rooms and streams of a tab speak. */
export function lineOf(tabs: Tabs): Session | PartLine {
  const { later, session } = tabs.engine;
  if (!tabs.isOn) return session;
  later.need();
  let line = LINES.get(tabs);
  if (line === undefined) LINES.set(tabs, (line = new PartLine()));
  return line;
}

/** Rooms and streams speak on this session from now on, made when there are some; null: on none. */
export function speakOn(tabs: Tabs, next: Session | (() => Session) | null): void {
  const line = lineOf(tabs) as PartLine;
  line.use(typeof next === 'function' ? next : next && (() => next));
}

/**
 * The session on which rooms and streams speak: one of the tab itself, as the server knows who is
 * in a room by the connection. It may change while they are there.
 */
export class PartLine implements PartSession {
  readonly #parts: Part[] = [];
  #choose: (() => Session) | null = null;
  #session: Session | null = null;

  get isLive(): boolean {
    return this.#session?.isLive ?? false;
  }

  get id(): string | null {
    return this.#session?.id ?? null;
  }

  send(op: string, fields: Message): string | null {
    return this.#session?.send(op, fields) ?? null;
  }

  add(part: Part): void {
    this.#parts.push(part);
    this.#join(part);
  }

  /** See `speakOn`. */
  use(choose: (() => Session) | null): void {
    const before = this.#session;
    this.#choose = choose;
    const next = choose && this.#parts.length > 0 ? choose() : null;
    if (next !== null && next === before) return;
    before?.release();
    this.#session = null;
    for (const part of this.#parts) this.#join(part);
  }

  #join(part: Part): void {
    this.#session ??= this.#choose?.() ?? null;
    this.#session?.add(part);
  }
}
