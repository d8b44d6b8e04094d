import { TriceError } from '../errors.ts';
import type { Operation } from '../pending/builder.ts';
import { compile, type Compiled, type Inventor } from '../pending/compile.ts';
import type { Entry } from '../pending/entry.ts';
import { replay } from '../pending/replay.ts';
import type { Step } from '../pending/steps.ts';
import type { WireAttr } from '../schema/attr.ts';
import type { Catalog } from '../schema/catalog.ts';
import { inventorOf } from '../schema/invent.ts';
import type { SchemaShape } from '../schema/shape.ts';
import type { Cause } from '../trace/events.ts';
import { madeIn } from '../values/made.ts';
import type { Answer } from './answer.ts';
import { Overlay } from './overlay.ts';
import type { View } from './view.ts';

/** What is needed to make steps of a write. */
export interface WritesOptions {
  /** A new UUID. */
  id(): string;
  readonly schema: SchemaShape | undefined;
  /** Keeps the ids of attrs that a write invented. */
  keepInvented(entry: string, invented: readonly WireAttr[]): void;
}

/** What is shown below the writes, and wakes with them. `Store` is it. */
export interface Written {
  /** The catalog as the server told it, with the attrs that pending writes invented. */
  catalog: Catalog;
  /** The same without those. */
  readonly server: Catalog;
  readonly answers: Iterable<Answer>;
  readonly newestCreated: number;
  wake(answer: Answer, because: Cause): void;
  /** The catalog is another one. */
  adopt(): void;
}

/** A pending write by the newest catalog. */
interface Write {
  readonly entry: Entry;
  readonly compiled: Compiled;
  /** Namespaces it may change; null: any, as deletes take others along. */
  readonly namespaces: ReadonlySet<string> | null;
  /** Ids of entities that its lookups may make, by lookup. */
  readonly made: Map<string, string>;
}

/** A view with pending writes on top, and those that an answer up to `tx` does not contain. */
export type Fill = (
  below: View,
  wider: View,
  tx: number | null,
) => { readonly overlay: Overlay; readonly entries: readonly Entry[] };

/**
 * The pending writes of a store, as steps by the newest catalog. What the store shows they lie on
 * top of.
 */
export class Writes {
  readonly #store: Written;
  readonly #options: WritesOptions;
  readonly #inventor: Inventor;
  #writes: readonly Write[] = [];

  constructor(store: Written, options: WritesOptions) {
    this.#store = store;
    this.#options = options;
    this.#inventor = inventorOf(options.id, options.schema);
  }

  /** Takes other writes over. Throws `unknown-name` if one names what the schema does not. */
  set(entries: readonly Entry[]): void {
    const before = new Map(this.#writes.map((write) => [write.entry.id, write]));
    const isSame =
      entries.length === this.#writes.length &&
      entries.every((entry, place) => {
        const { entry: old } = this.#writes[place]!;
        return old.id === entry.id && old.operations === entry.operations && old.tx === entry.tx;
      });
    if (isSame) {
      this.#writes = this.#writes.map((write, place) => ({ ...write, entry: entries[place]! }));
      return;
    }
    const firstNew = entries.findIndex(
      (entry, place) => this.#writes[place]?.entry.id !== entry.id,
    );
    const isOnlyMore = firstNew === this.#writes.length || firstNew < 0;
    const present = new Set(entries.map(({ id }) => id));
    const gone = this.#writes.filter(({ entry }) => !present.has(entry.id));
    if (isOnlyMore) this.#compileMore(entries);
    else this.#compileAll(entries);
    for (const write of [
      ...gone,
      ...this.#writes.filter((one) => before.get(one.entry.id)?.entry.tx !== one.entry.tx),
    ])
      this.#touch(write);
  }

  /** The server's catalog is another one. */
  renew(): void {
    this.#compileAll(this.#writes.map(({ entry }) => entry));
  }

  /** The steps of a write, to be sent. */
  steps(id: string): readonly Step[] | undefined {
    return this.#find(id)?.compiled.steps;
  }

  /** Answers that a write may change that is shown. */
  concernedBy(id: string): readonly Answer[] {
    const write = this.#find(id);
    return write ? [...this.#store.answers].filter((answer) => concerns(write, answer)) : [];
  }

  /** What an answer is shown with; null: nothing of the writes. */
  fillOf(answer: Answer): Fill | null {
    const writes = this.#writes.filter((write) => concerns(write, answer));
    if (writes.length === 0) return null;
    return (below, wider, tx) => {
      const overlay = new Overlay(below, wider, this.#store.catalog);
      return { overlay, entries: this.#replay(writes, overlay, tx) };
    };
  }

  #find(id: string): Write | undefined {
    return this.#writes.find(({ entry }) => entry.id === id);
  }

  /** Replays what an answer up to `tx` does not contain (instant-realtime §6.6); returns it. */
  #replay(writes: readonly Write[], overlay: Overlay, tx: number | null): readonly Entry[] {
    const replayed: Entry[] = [];
    writes.forEach(({ entry, compiled, made }, place) => {
      if (entry.tx !== null && (tx === null || entry.tx <= tx)) return;
      replayed.push(entry);
      replay(compiled.steps, this.#store.catalog, overlay, {
        // After all that is known: pages show it where the server will, by creation too.
        createdAt: this.#store.newestCreated + 1 + place,
        id: (attr, value) => this.#madeId(made, attr, value),
      });
    });
    return replayed;
  }

  #madeId(made: Map<string, string>, attr: string, value: unknown): string {
    return madeIn(made, `${attr} ${JSON.stringify(value)}`, () => this.#options.id());
  }

  #compileMore(entries: readonly Entry[]): void {
    const kept = new Map(this.#writes.map((write) => [write.entry.id, write]));
    const { catalog } = this.#store;
    const writes: Write[] = [];
    for (const entry of entries) {
      const known = kept.get(entry.id);
      const isSame = known?.entry.operations === entry.operations;
      const write = isSame ? { ...known!, entry } : this.#compile(entry);
      writes.push(write);
      if (!isSame) this.#touch(write);
    }
    this.#writes = writes;
    if (this.#store.catalog !== catalog) this.#store.adopt();
  }

  #compileAll(entries: readonly Entry[]): void {
    const before = [...this.#writes];
    this.#store.catalog = this.#store.server;
    const writes = entries.map((entry) => this.#compile(entry));
    this.#writes = writes;
    this.#store.adopt();
    for (const write of [...before, ...writes]) this.#touch(write);
  }

  /** Compiles a write by the catalog of those before it, and adds the attrs it invents. */
  #compile(entry: Entry): Write {
    const compiled = compiledBy(this.#store.catalog, entry, this.#inventor);
    if (compiled.invented.length > 0) this.#options.keepInvented(entry.id, compiled.invented);
    this.#store.catalog = compiled.catalog;
    return { entry, compiled, namespaces: namespacesOf(entry, compiled.catalog), made: new Map() };
  }

  #touch(write: Write): void {
    for (const answer of this.#store.answers)
      if (concerns(write, answer)) this.#store.wake(answer, 'write');
  }
}

/** Why no steps can be made of a write. */
export interface Fault {
  readonly id: string;
  readonly error: TriceError;
}

/** Writes of which no steps can be made; the others are left as they are. */
export function faultsOf(
  entries: readonly Entry[],
  server: Catalog,
  { id, schema }: Pick<WritesOptions, 'id' | 'schema'>,
): Fault[] {
  const inventor = inventorOf(id, schema);
  const faults: Fault[] = [];
  let catalog = server;
  for (const entry of entries) {
    try {
      catalog = compiledBy(catalog, entry, inventor).catalog;
    } catch (error) {
      if (!(error instanceof TriceError)) throw error;
      faults.push({ id: entry.id, error });
    }
  }
  return faults;
}

function compiledBy(catalog: Catalog, entry: Entry, inventor: Inventor): Compiled {
  const { call, invented, operations, upload } = entry;
  const named = (upload ?? call) ? knownOnly(operations, catalog) : operations;
  return compile(named, catalog, inventor, invented);
}

/** What an upload or a call shows, as far as the catalog has names for it: it invents none. */
function knownOnly(operations: readonly Operation[], catalog: Catalog): readonly Operation[] {
  return operations.flatMap(([action, etype, id, args]): Operation[] => {
    if (!catalog.find(etype, 'id')) return [];
    const known = Object.entries(args).filter(([label]) => catalog.find(etype, label));
    return [[action, etype, id, Object.fromEntries(known)]];
  });
}

function concerns({ namespaces }: Write, answer: Answer): boolean {
  if (namespaces === null) return true;
  for (const etype of namespaces) if (answer.namespaces.has(etype)) return true;
  return false;
}

function namespacesOf({ operations }: Entry, catalog: Catalog): ReadonlySet<string> | null {
  const found = new Set<string>();
  for (const [action, etype, , args] of operations) {
    if (action === 'delete') return null;
    found.add(etype);
    if (action !== 'link' && action !== 'unlink') continue;
    for (const label of Object.keys(args)) {
      const attr = catalog.find(etype, label)?.attr;
      if (attr) found.add(attr.etype).add(attr.reverse?.etype ?? '');
    }
  }
  return found;
}
