import type { Attr } from '../schema/attr.ts';
import type { Catalog } from '../schema/catalog.ts';
import type { Overlay } from '../store/overlay.ts';
import { isEqual } from '../values/equal.ts';
import { isObject } from '../values/json.ts';
import type { Step, Subject, WriteOp } from './steps.ts';

/** What a replayed write makes up until the server tells. */
export interface Provisional {
  /** The time of creation of entities that the write makes. */
  readonly createdAt: number;
  /** The id of the entity that a lookup will make, the same at every replay. */
  id(attr: string, value: unknown): string;
}

/**
 * Does to an overlay what the server will do to the data: steps run grouped by type, in the order
 * in which types first appear (T10).
 *
 * What the server refuses is not refused here; it rejects the write, and the replay ends.
 */
export function replay(
  steps: readonly Step[],
  catalog: Catalog,
  overlay: Overlay,
  made: Provisional,
): void {
  const run = new Replay(catalog, overlay, made);
  for (const type of new Set(steps.map(([op]) => op))) {
    for (const step of steps) if (step[0] === type) run.apply(step);
  }
}

class Replay {
  readonly #catalog: Catalog;
  readonly #overlay: Overlay;
  readonly #made: Provisional;

  constructor(catalog: Catalog, overlay: Overlay, made: Provisional) {
    this.#catalog = catalog;
    this.#overlay = overlay;
    this.#made = made;
  }

  apply(step: Step): void {
    switch (step[0]) {
      case 'add-triple':
      case 'deep-merge-triple':
      case 'increment-triple':
        return this.#write(step[0], step[1], step[2], step[3]);
      case 'retract-triple':
        return this.#retract(step[1], step[2], step[3]);
      case 'delete-entity': {
        const id = this.#find(step[1]);
        return id === undefined ? undefined : this.#delete(step[2], id);
      }
      case 'add-attr':
      case 'rule-params':
        return;
      default:
        step satisfies never;
    }
  }

  #write(op: WriteOp, subject: Subject, attrId: string, value: unknown): void {
    const attr = this.#catalog.get(attrId);
    if (attr === undefined) return;
    const id = this.#subject(subject);
    if (attr.isLink) return this.#link(attr, id, value as Subject);
    const open = this.#overlay.open(attr.etype, id);
    if (attr.label === 'id') {
      if (open.cells[attr.id] === undefined) this.#create(attr, id);
      return;
    }
    const before = open.cells[attr.id];
    const after = RESULTS[op](before, value);
    if (!isEqual(before, after)) open.cells[attr.id] = after;
  }

  /** A new entity has null where an indexed field was not given (Q72). */
  #create(idAttr: Attr, id: string): void {
    const open = this.#overlay.open(idAttr.etype, id);
    open.createdAt = this.#made.createdAt;
    open.cells[idAttr.id] = id;
    for (const { attr, isForward } of this.#catalog.names(idAttr.etype).values()) {
      if (isForward && !attr.isLink && attr.isIndexed) open.cells[attr.id] ??= null;
    }
  }

  #link(attr: Attr, source: string, target: Subject): void {
    const end = typeof target === 'string' ? target : this.#find(target);
    if (end === undefined) return;
    if (attr.isOne) {
      for (const old of this.#overlay.targets(attr.id, source))
        this.#overlay.unlink(attr.id, source, old);
      this.#overlay.open(attr.etype, source).cells[attr.id] = end;
    }
    this.#overlay.link(attr.id, source, end);
  }

  #retract(subject: Subject, attrId: string, target: unknown): void {
    const attr = this.#catalog.get(attrId);
    const source = this.#find(subject);
    const end =
      attr?.isLink && Array.isArray(target) ? this.#find(target as unknown as Subject) : target;
    if (attr === undefined || source === undefined || typeof end !== 'string') return;
    if (!this.#overlay.targets(attr.id, source).includes(end)) return;
    if (attr.isOne) delete this.#overlay.open(attr.etype, source).cells[attr.id];
    this.#overlay.unlink(attr.id, source, end);
  }

  /** Deletes an entity, all links to and from it, and what its links take along. */
  #delete(etype: string, id: string): void {
    if (this.#overlay.known(etype, id) === undefined) return;
    this.#overlay.remove(etype, id);
    for (const attr of this.#catalog.attrs) {
      if (!attr.isLink || !attr.reverse) continue;
      if (attr.etype === etype) this.#cut(attr, id, true);
      if (attr.reverse.etype === etype) this.#cut(attr, id, false);
    }
  }

  #cut(attr: Attr, id: string, isSource: boolean): void {
    const { reverse } = attr;
    const ends = isSource ? this.#overlay.targets(attr.id, id) : this.#overlay.sources(attr.id, id);
    for (const end of ends) {
      const [source, target] = isSource ? [id, end] : [end, id];
      if (!isSource && attr.isOne) {
        if (this.#overlay.known(attr.etype, source))
          delete this.#overlay.open(attr.etype, source).cells[attr.id];
      }
      this.#overlay.unlink(attr.id, source, target);
      if (isSource && attr.cascadesBack) this.#delete(reverse!.etype, end);
      if (!isSource && attr.cascades) this.#delete(attr.etype, end);
    }
  }

  /** The entity of a step. One that a lookup does not find is made, with a provisional id. */
  #subject(subject: Subject): string {
    if (typeof subject === 'string') return subject;
    const found = this.#find(subject);
    if (found !== undefined) return found;
    const [attrId, value] = subject;
    const attr = this.#catalog.get(attrId);
    const id =
      attr?.label === 'id' && typeof value === 'string' ? value : this.#made.id(attrId, value);
    if (attr?.isLink) this.#link(attr, id, value as string);
    else if (attr) this.#overlay.open(attr.etype, id).cells[attr.id] = value;
    return id;
  }

  #find(subject: Subject): string | undefined {
    if (typeof subject === 'string') return subject;
    const [attrId, value] = subject;
    const attr = this.#catalog.get(attrId);
    if (attr === undefined) return undefined;
    if (attr.isLink) return this.#overlay.sources(attrId, value as string)[0];
    const provisional = this.#made.id(attrId, value);
    for (const id of this.#overlay.ids(attr.etype))
      if (isEqual(this.#overlay.record(attr.etype, id)?.cells[attrId], value)) return id;
    return this.#overlay.isTouched(attr.etype, provisional) ? provisional : undefined;
  }
}

/** What a field holds after a write, by what it held. */
const RESULTS: Record<WriteOp, (stored: unknown, given: unknown) => unknown> = {
  'add-triple': (_, given) => given,
  'deep-merge-triple': merged,
  'increment-triple': incremented,
};

/** A sum; what is no number stays as it is, for the server refuses the write (T116). */
function incremented(stored: unknown, amount: unknown): unknown {
  const before = stored ?? 0;
  return typeof before === 'number' ? before + (amount as number) : stored;
}

/**
 * A patch applied to a value: objects key by key, null takes a key away (instant-semantics §3.6).
 */
export function merged(stored: unknown, patch: unknown): unknown {
  if (!isObject(stored) || !isObject(patch)) return patch;
  const result = { ...stored };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else
      result[key] = isObject(value) && isObject(result[key]) ? merged(result[key], value) : value;
  }
  return result;
}
