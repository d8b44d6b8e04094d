import type { AttrId } from '../schema/attr.ts';
import { madeIn, newMap } from '../values/made.ts';

/**
 * One entity's own cells as one answer told them. Frozen, and shared by all answers that tell the
 * same: a changed entity is another record.
 */
export interface EntityRecord {
  readonly etype: string;
  readonly id: string;
  /** Milliseconds since 1970, by the server's clock. */
  readonly createdAt: number;
  /** Values of fields and targets of links to one, by attr id. A field never set has none. */
  readonly cells: Cells;
}

export type Cells = Readonly<Record<AttrId, unknown>>;

/**
 * What is known, as queries and replayed writes read it: an answer, all answers together, or one
 * of these with pending writes on top.
 *
 * An entity exists if it has a record. Links may name entities that do not exist (Q46).
 */
export interface View {
  /** Ids of the entities of a namespace, in no order. */
  ids(etype: string): Iterable<string>;
  record(etype: string, id: string): EntityRecord | undefined;
  /** Ids to which `source` is linked by `attr`, at most one for a link to one. */
  targets(attr: AttrId, source: string): readonly string[];
  /** Ids of the entities that are linked to `target` by `attr`. */
  sources(attr: AttrId, target: string): readonly string[];
}

/** A link between two entities that came or went. */
export interface ChangedPair {
  readonly attr: AttrId;
  readonly source: string;
  readonly target: string;
}

/**
 * What differs between two states of a view: entities by namespace and id, each with its record of
 * before, if it had one; and links. It may name more than differs, never less.
 */
export class ChangeSet {
  readonly entities = new Map<string, Map<string, EntityRecord | undefined>>();
  readonly pairs: ChangedPair[] = [];

  get isEmpty(): boolean {
    return this.entities.size === 0 && this.pairs.length === 0;
  }

  /** Adds an entity. What was said first of it holds. */
  addEntity(etype: string, id: string, before: EntityRecord | undefined): void {
    const records = madeIn(this.entities, etype, newMap<string, EntityRecord | undefined>);
    if (!records.has(id)) records.set(id, before);
  }

  addPair(attr: AttrId, source: string, target: string): void {
    this.pairs.push({ attr, source, target });
  }

  /** Adds what came after these changes. `before`: the view that has the records of before. */
  addAll(other: ChangeSet, before?: View): void {
    for (const [etype, records] of other.entities)
      for (const [id, record] of records)
        this.addEntity(etype, id, before ? before.record(etype, id) : record);
    this.pairs.push(...other.pairs);
  }
}
