import type { Attr, AttrId } from '../schema/attr.ts';
import type { Catalog } from '../schema/catalog.ts';
import { isEqual } from '../values/equal.ts';
import { madeIn, newMap } from '../values/made.ts';
import type { Removed, Triple } from './bag.ts';
import type { Intern } from './intern.ts';
import type { Records } from './records.ts';
import type { ChangeSet } from './view.ts';

/** The time of creation of an entity whose id triple is not there: it does not exist. */
export const ABSENT = -1;

/** The pairs of a link from both ends. */
export interface Ends {
  readonly targets: EndMap;
  readonly sources: EndMap;
}

/** Ids at the other end. Most have one, and a set of one takes four times its room. */
type EndMap = Map<string, string | Set<string>>;

/** One change of a bag: cells are written to open copies, which are frozen at the end. */
export class Edit {
  readonly #catalog: Catalog;
  readonly #intern: Intern;
  readonly #records: Records;
  readonly #links: Map<AttrId, Ends>;
  readonly #changes: ChangeSet | null;
  /** By namespace and id. */
  readonly #open = new Map<string, Map<string, OpenRecord>>();
  #last: OpenRecord | undefined;

  constructor(
    catalog: Catalog,
    intern: Intern,
    records: Records,
    links: Map<AttrId, Ends>,
    changes: ChangeSet | null,
  ) {
    this.#catalog = catalog;
    this.#intern = intern;
    this.#records = records;
    this.#links = links;
    this.#changes = changes;
  }

  /** Adds a triple; false if its attr is unknown. */
  add([entity, attrId, value, time]: Triple): boolean {
    const attr = this.#catalog.get(attrId);
    if (attr === undefined) return false;
    if (attr.isLink) this.#addPair(attr, entity, value as string);
    if (attr.isLink && !attr.isOne) return true;
    const record = this.#record(attr.etype, entity);
    const isTimed = attr.label === 'id' && record.createdAt !== time;
    if (isTimed) record.createdAt = time;
    if (isTimed || record.cells[attrId] !== value) {
      record.cells[attrId] = value;
      this.#addChange(attr, entity);
    }
    return true;
  }

  /** Removes all triples of an entity and attr, or one if `value` has it. */
  remove([entity, attrId, value]: Removed): void {
    const attr = this.#catalog.get(attrId);
    if (attr === undefined) return;
    if (attr.isLink) this.#removePairs(attrId, entity, value as string | undefined);
    if (attr.isLink && !attr.isOne) return;
    const record = this.#record(attr.etype, entity);
    if (value !== undefined && !isEqual(record.cells[attrId], value)) return;
    if (attr.label === 'id') record.createdAt = ABSENT;
    delete record.cells[attrId];
    this.#addChange(attr, entity);
  }

  /** Freezes what was written. Entities without a cell are gone. */
  commit(): void {
    for (const opened of this.#open.values())
      for (const open of opened.values())
        if (Object.keys(open.cells).length === 0) this.#records.delete(open.etype, open.id);
        else this.#records.set(this.#intern.record(open));
  }

  #record(etype: string, id: string): OpenRecord {
    // Triples of an entity come one after the other.
    if (this.#last?.id === id && this.#last.etype === etype) return this.#last;
    return (this.#last = this.#openRecord(etype, id));
  }

  #openRecord(etype: string, id: string): OpenRecord {
    return madeIn(madeIn(this.#open, etype, newMap<string, OpenRecord>), id, () => {
      const before = this.#records.get(etype, id);
      return { etype, id, createdAt: before?.createdAt ?? ABSENT, cells: { ...before?.cells } };
    });
  }

  #addChange({ etype }: Attr, id: string): void {
    this.#changes?.addEntity(etype, id, this.#records.get(etype, id));
  }

  #addPair(attr: Attr, source: string, target: string): void {
    const ends = madeIn(this.#links, attr.id, () => ({ targets: new Map(), sources: new Map() }));
    put(ends.targets, source, target);
    put(ends.sources, target, source);
    this.#changes?.addPair(attr.id, source, target);
  }

  #removePairs(attr: AttrId, source: string, only: string | undefined): void {
    const ends = this.#links.get(attr);
    for (const target of keysOf(ends?.targets.get(source))) {
      if (only !== undefined && only !== target) continue;
      drop(ends!.targets, source, target);
      drop(ends!.sources, target, source);
      this.#changes?.addPair(attr, source, target);
    }
  }
}

/** A record that is being written. */
export interface OpenRecord {
  readonly etype: string;
  readonly id: string;
  createdAt: number;
  readonly cells: Record<AttrId, unknown>;
}

const NONE: readonly string[] = Object.freeze([]);

export function keysOf(ends: string | Set<string> | undefined): readonly string[] {
  if (ends === undefined) return NONE;
  return typeof ends === 'string' ? [ends] : [...ends];
}

function put(ends: EndMap, from: string, to: string): void {
  const found = ends.get(from);
  if (found === undefined) ends.set(from, to);
  else if (typeof found === 'object') found.add(to);
  else if (found !== to) ends.set(from, new Set([found, to]));
}

function drop(ends: EndMap, from: string, to: string): void {
  const found = ends.get(from);
  if (typeof found === 'object') found.delete(to);
  if (found === to || (found as Set<string>).size === 0) ends.delete(from);
}
