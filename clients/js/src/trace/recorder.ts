import type { DiskChange, DiskFailure } from '../client/disk.ts';
import type { Environment } from '../client/environment.ts';
import type { Entry, EntryState } from '../pending/entry.ts';
import type { Answer, News } from '../store/answer.ts';
import { isObject } from '../values/json.ts';
import type { Cause, TraceEvent, TraceOptions, WriteEvent } from './events.ts';
import type { Trace, Said } from './trace.ts';
import { withoutTokens, withoutValues } from './redact.ts';

/** Events that are kept while somebody listens: whoever comes later is told them first. */
export const EVENTS_MAX = 2_000;

/** An event without what every event gets. */
type Bare<E = TraceEvent> = E extends TraceEvent ? Omit<E, 'seq' | 'at'> : never;

/**
 * Makes events of what the client says, keeps the last 2,000, and tells them. It listens to the
 * trace only while somebody listens to it.
 */
export class Recorder {
  readonly #environment: Environment;
  readonly #trace: Trace;
  readonly #entries: () => readonly Entry[];
  readonly #listeners = new Set<(event: TraceEvent) => void>();
  /** The last events; once it is full the oldest is at `#seq` modulo its size. */
  #ring: TraceEvent[] = [];
  #seq = 0;
  /** The states of pending writes that were told. */
  #writes = new Map<string, Entry>();

  /** entries  the pending writes as they are when somebody begins to listen */
  constructor(environment: Environment, trace: Trace, entries: () => readonly Entry[]) {
    this.#environment = environment;
    this.#trace = trace;
    this.#entries = entries;
  }

  /**
   * Calls `tell` with the events that are kept, and with each new one. A function that throws is
   * called no more; what it threw is thrown again where nobody is in its way.
   *
   * returns  ends it
   */
  listen(tell: (event: TraceEvent) => void, { values = true }: TraceOptions = {}): () => void {
    const listener = (event: TraceEvent) => {
      try {
        tell(values ? event : withoutValuesOf(event));
      } catch (error) {
        stop();
        this.#environment.timer(0, () => {
          throw error;
        });
      }
    };
    const stop = () => this.#stop(listener);
    const kept = this.#kept();
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#start();
    for (const event of kept) if (this.#listeners.has(listener)) listener(event);
    return stop;
  }

  #start(): void {
    this.#writes = new Map(this.#entries().map((entry) => [entry.id, entry]));
    this.#trace.now = this.#environment.elapsedMs ?? this.#environment.now;
    this.#trace.say = (kind, ...said) => {
      for (const event of this.#makers[kind](...said)) this.#record(event);
    };
  }

  #stop(listener: (event: TraceEvent) => void): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    this.#trace.say = this.#trace.now = undefined;
    this.#ring = [];
    this.#writes.clear();
  }

  #record(bare: Bare): void {
    const event = Object.freeze({ seq: this.#seq + 1, at: this.#environment.now(), ...bare });
    this.#ring[this.#seq % EVENTS_MAX] = event;
    this.#seq += 1;
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** The events that are kept, in order. */
  #kept(): readonly TraceEvent[] {
    return [...this.#ring.filter(Boolean)].sort((one, other) => one.seq - other.seq);
  }

  readonly #makers: { readonly [K in keyof Said]: (...said: Said[K]) => readonly Bare[] } = {
    frame: (...said) => [frameOf(...said)],
    land: (...said) => [landOf(...said)],
    refresh: (answer, because, isTold, start) => [
      refreshOf(answer, because, isTold, this.#since(start)),
    ],
    writes: (entries) => this.#writesOf(entries),
    store: (changes, start, failure) => [storeOf(changes, this.#since(start), failure)],
    connection: (...said) => [connectionOf(...said)],
  };

  #since(start: number | undefined): number {
    return start === undefined ? 0 : this.#trace.now!() - start;
  }

  /** What differs from the pending writes as they were told. */
  #writesOf(entries: readonly Entry[]): readonly Bare<WriteEvent>[] {
    const before = this.#writes;
    this.#writes = new Map(entries.map((entry) => [entry.id, entry]));
    const gone = [...before.values()].filter(({ id }) => !this.#writes.has(id));
    const changed = entries.filter(({ id, state }) => before.get(id)?.state !== state);
    return [
      ...gone.map((entry) => writeOf(entry, 'gone')),
      ...changed.map((entry) => writeOf(entry, entry.state)),
    ];
  }
}

function frameOf(...[direction, text, message]: Said['frame']): Bare {
  const messages = Array.isArray(message) ? (message as unknown[]) : [message];
  const ops = messages.map((one) => (isObject(one) && typeof one.op === 'string' ? one.op : '?'));
  const op = ops.slice(0, 3).join(', ') + (ops.length > 3 ? ' …' : '');
  return { type: 'frame', direction, op, length: text.length, text: withoutTokens(text) };
}

function landOf(hash: string, news: News, isTaken: boolean): Bare {
  const kind = news.result ? 'whole' : !isTaken ? 'mismatch' : news.delta ? 'delta' : 'same';
  return { type: 'land', hash, kind, tx: news.tx };
}

function refreshOf(answer: Answer, because: Cause, isTold: boolean, ms: number): Bare {
  const { hash } = answer;
  const candidates = candidatesOf(answer);
  return { type: 'refresh', hash, because, candidates, rows: rowsOf(answer), isTold, ms };
}

/** Entities of top forms that were looked at; null: all of one of them. */
function candidatesOf({ tops }: Answer): number | null {
  const counts = tops.map(({ candidates }) => candidates);
  return counts.includes(null) ? null : counts.reduce<number>((sum, count) => sum + count!, 0);
}

/** Rows that a query shows, those of nested forms not counted. */
export function rowsOf({ state }: Answer): number {
  return Object.values(state.data ?? {}).reduce((sum, rows) => sum + rows.length, 0);
}

function writeOf(
  { id, operations, label, error }: Entry,
  state: EntryState | 'gone',
): Bare<WriteEvent> {
  const why = error && state !== 'gone' ? { code: error.code, message: error.message } : null;
  return { type: 'write', id, state, operations: operations.length, label, error: why };
}

function storeOf(changes: readonly DiskChange[], ms: number, failure: DiskFailure | null): Bare {
  const bytes = changes.reduce(
    (sum, change) => sum + ('value' in change ? (change.value?.length ?? 0) : 0),
    0,
  );
  return { type: 'store', bytes, ms, failure };
}

function connectionOf(...[state, transport, code, retryMs]: Said['connection']): Bare {
  return { type: 'connection', state, transport, code: code ?? null, retryMs: retryMs ?? null };
}

function withoutValuesOf(event: TraceEvent): TraceEvent {
  switch (event.type) {
    case 'frame':
      return { ...event, text: withoutValues(event.text) };
    case 'write':
      return { ...event, label: undefined, error: event.error && { ...event.error, message: '' } };
    case 'land':
    case 'refresh':
      return { ...event, hash: withoutValues(event.hash) };
    default:
      return event;
  }
}
