import type {
  Cause,
  ConnectionEvent,
  RefreshEvent,
  StoreEvent,
  TraceEvent,
} from '../trace/events.ts';

/** Events that the panel keeps. The oldest go. */
export const EVENTS_MAX = 2_000;

/** Queries whose activity is kept; of those not seen for longest it goes. */
export const QUERIES_MAX = 1_000;

/** What happened to one query since the panel listens. */
export interface Activity {
  /** How often it was looked at, by what woke it. */
  readonly causes: Readonly<Partial<Record<Cause, number>>>;
  readonly last: RefreshEvent;
}

/**
 * What the panel knows of what happened, from the events it was told. No I/O, and no more memory
 * however many events come.
 */
export class Model {
  /** Another number after each change. */
  version = 0;
  /** Frames and their characters, both ways. */
  frames = { in: 0, inLength: 0, out: 0, outLength: 0 };
  /** Batches that went to the disk, their characters, and how many failed. */
  batches = { count: 0, bytes: 0, failed: 0 };
  /** Connections that were lost. */
  losses = 0;
  lastLoss: ConnectionEvent | null = null;
  /** When the session was opened last, as far as the panel saw it. */
  liveAt: number | null = null;
  lastBatch: StoreEvent | null = null;
  #ring: TraceEvent[] = [];
  #count = 0;
  readonly #activities = new Map<string, Activity>();

  take(event: TraceEvent): void {
    this.version += 1;
    this.#ring[this.#count % EVENTS_MAX] = event;
    this.#count += 1;
    switch (event.type) {
      case 'frame': {
        const { direction, length } = event;
        this.frames[direction] += 1;
        this.frames[`${direction}Length`] += length;
        return;
      }
      case 'refresh':
        return this.#refreshed(event);
      case 'store':
        this.lastBatch = event;
        this.batches.count += 1;
        this.batches.bytes += event.bytes;
        if (event.failure) this.batches.failed += 1;
        return;
      case 'connection':
        return this.#connectionChanged(event);
      case 'land':
      case 'write':
        return;
      default:
        // A newer client may tell more than this panel shows.
        event satisfies never;
    }
  }

  /** Forgets the events; sums and what is known of queries stay. */
  clear(): void {
    this.version += 1;
    this.#ring = [];
    this.#count = 0;
  }

  activity(hash: string): Activity | undefined {
    return this.#activities.get(hash);
  }

  /** The events that are kept, the newest first. */
  *newest(): Iterable<TraceEvent> {
    const kept = Math.min(this.#count, EVENTS_MAX);
    for (let age = 1; age <= kept; age++) yield this.#ring[(this.#count - age) % EVENTS_MAX]!;
  }

  #refreshed(event: RefreshEvent): void {
    const { hash, because } = event;
    const causes = this.#activities.get(hash)?.causes ?? {};
    this.#activities.delete(hash);
    this.#activities.set(hash, {
      causes: { ...causes, [because]: (causes[because] ?? 0) + 1 },
      last: event,
    });
    if (this.#activities.size > QUERIES_MAX)
      this.#activities.delete(this.#activities.keys().next().value!);
  }

  #connectionChanged(event: ConnectionEvent): void {
    if (event.state === 'authenticated') this.liveAt = event.at;
    if (event.state !== 'lost') return;
    this.losses += 1;
    this.lastLoss = event;
    this.liveAt = null;
  }
}
