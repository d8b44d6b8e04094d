import type { AttrId } from '../schema/attr.ts';
import type { Catalog } from '../schema/catalog.ts';
import { ABSENT, Edit, type Ends, keysOf } from './edit.ts';
import type { Intern } from './intern.ts';
import { Records } from './records.ts';
import { ChangeSet, type EntityRecord, type View } from './view.ts';

/** A triple of an answer: entity, attr, value, time in milliseconds. */
export type Triple = readonly [entity: string, attr: AttrId, value: unknown, time: number];

/** A triple that went; without a value, all of an entity and attr. */
export type Removed = readonly [entity: string, attr: AttrId, value?: unknown];

/** The steps from one version of an answer to another (P77). */
export interface Delta {
  readonly removed?: readonly Removed[];
  readonly changed?: readonly Triple[];
  readonly added?: readonly Triple[];
}

/**
 * The triples of one answer, as a view: entities by namespace and id, and links from both ends.
 *
 * It holds what the server said, and no pending write. Records are frozen and shared with other
 * bags; a step replaces the record it touches.
 */
export class Bag implements View {
  #catalog: Catalog;
  readonly #intern: Intern;
  /** Those of entities that do not exist included. */
  records: Records;
  #links = new Map<AttrId, Ends>();
  /** Triples whose attr is not in the catalog yet: their `attrs` are on the way. */
  #unknown: Triple[] = [];

  constructor(catalog: Catalog, intern: Intern) {
    this.#catalog = catalog;
    this.#intern = intern;
    this.records = new Records(intern);
  }

  *ids(etype: string): Iterable<string> {
    for (const record of this.records.all())
      if (record.etype === etype && record.createdAt !== ABSENT) yield record.id;
  }

  record(etype: string, id: string): EntityRecord | undefined {
    const record = this.records.get(etype, id);
    return record?.createdAt === ABSENT ? undefined : record;
  }

  targets(attr: AttrId, source: string): readonly string[] {
    return keysOf(this.#links.get(attr)?.targets.get(source));
  }

  sources(attr: AttrId, target: string): readonly string[] {
    return keysOf(this.#links.get(attr)?.sources.get(target));
  }

  /** Replaces the content by that of a whole answer. Adds what differs to `changes`. */
  replace(triples: readonly Triple[], changes = new ChangeSet()): ChangeSet {
    const next = new Bag(this.#catalog, this.#intern);
    next.#take({ added: triples }, null);
    this.#addDifferences(next, this, changes);
    next.#addDifferences(this, this, changes);
    this.records = next.records;
    this.#links = next.#links;
    this.#unknown = next.#unknown;
    return changes;
  }

  /** Takes the steps of a delta, in the order of P77. Adds what differs to `changes`. */
  apply(delta: Delta, changes = new ChangeSet()): ChangeSet {
    this.#take(delta, changes);
    return changes;
  }

  /** Reads its triples again by another catalog: attrs that came, went, or were renamed. */
  adopt(catalog: Catalog): ChangeSet {
    const triples = [...this.triples()];
    this.#catalog = catalog;
    return this.replace(triples);
  }

  /** Everything in it, as a whole answer has it, but for the times at which links were made. */
  *triples(): Iterable<Triple> {
    for (const { id, createdAt, cells } of this.records.all())
      for (const attr of Object.keys(cells)) yield [id, attr, cells[attr], Math.max(0, createdAt)];
    for (const [attr, { targets }] of this.#links) {
      if (this.#catalog.get(attr)?.isOne) continue;
      for (const [source, ends] of targets)
        for (const target of keysOf(ends)) yield [source, attr, target, 0];
    }
    yield* this.#unknown;
  }

  /** changes  takes what differs; null: nobody asks */
  #take({ removed = [], changed = [], added = [] }: Delta, changes: ChangeSet | null): void {
    const edit = new Edit(this.#catalog, this.#intern, this.records, this.#links, changes);
    for (const step of removed) edit.remove(step);
    // What changed has all its values in the delta.
    for (const [entity, attr] of changed) edit.remove([entity, attr]);
    for (const triple of [...changed, ...added]) if (!edit.add(triple)) this.#unknown.push(triple);
    edit.commit();
  }

  /** Adds what `other` has not, or otherwise. The records of before are those of `before`. */
  #addDifferences(other: Bag, before: Bag, changes: ChangeSet): void {
    for (const record of this.records.all()) {
      const { etype, id } = record;
      if (other.records.get(etype, id) !== record)
        changes.addEntity(etype, id, before.record(etype, id));
    }
    for (const [attr, { targets }] of this.#links)
      for (const [source, ends] of targets) {
        const others = new Set(other.targets(attr, source));
        for (const target of keysOf(ends))
          if (!others.has(target)) changes.addPair(attr, source, target);
      }
  }
}
