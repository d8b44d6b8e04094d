import type { AttrId } from '../schema/attr.ts';
import type { Catalog } from '../schema/catalog.ts';
import { madeIn, newMap } from '../values/made.ts';
import type { OpenRecord } from './edit.ts';
import { ChangeSet, type EntityRecord, type View } from './view.ts';

/**
 * A view with changes on top, which the view below never learns. Replayed writes fill it.
 *
 * Entities that a write names and the view below lacks are taken from `wider`, so that linking a
 * row known from another query shows it whole.
 */
export class Overlay implements View {
  readonly below: View;
  readonly #wider: View;
  readonly #catalog: Catalog;
  /** Records written here; null: deleted. */
  readonly #records = new Map<string, Map<string, OpenRecord | null>>();
  readonly #pairs = new Map<AttrId, { targets: Ends; sources: Ends }>();
  /** Everything written here. */
  readonly changes = new ChangeSet();

  constructor(below: View, wider: View, catalog: Catalog) {
    this.below = below;
    this.#wider = wider;
    this.#catalog = catalog;
  }

  isTouched(etype: string, id: string): boolean {
    return this.changes.entities.get(etype)?.has(id) ?? false;
  }

  *ids(etype: string): Iterable<string> {
    const written = this.#records.get(etype);
    for (const id of this.below.ids(etype)) if (!written?.has(id)) yield id;
    for (const [id, record] of written ?? []) if (record !== null && this.#exists(record)) yield id;
  }

  record(etype: string, id: string): EntityRecord | undefined {
    const written = this.#records.get(etype)?.get(id);
    if (written === undefined) return this.below.record(etype, id);
    return written !== null && this.#exists(written) ? written : undefined;
  }

  targets(attr: AttrId, source: string): readonly string[] {
    return merged(this.below.targets(attr, source), this.#pairs.get(attr)?.targets.get(source));
  }

  sources(attr: AttrId, target: string): readonly string[] {
    return merged(this.below.sources(attr, target), this.#pairs.get(attr)?.sources.get(target));
  }

  /** What is known of an entity, cells of one without an id included, to be written to. */
  open(etype: string, id: string): OpenRecord {
    const records = madeIn(this.#records, etype, newMap<string, OpenRecord | null>);
    const written = records.get(id);
    if (written) return written;
    const known = written === undefined ? this.#known(etype, id) : undefined;
    const open = { etype, id, createdAt: known?.createdAt ?? 0, cells: { ...known?.cells } };
    records.set(id, open);
    this.changes.addEntity(etype, id, this.below.record(etype, id));
    return open;
  }

  /** What is known of an entity here, in the view below, or elsewhere. */
  known(etype: string, id: string): EntityRecord | undefined {
    if (this.isTouched(etype, id)) return this.record(etype, id);
    return this.#known(etype, id);
  }

  /** Takes an entity away; its links must be taken away one by one. */
  remove(etype: string, id: string): void {
    this.open(etype, id);
    this.#records.get(etype)!.set(id, null);
  }

  link(attr: AttrId, source: string, target: string): void {
    this.#setPair(attr, source, target, true);
    this.#show(attr, source, target);
  }

  unlink(attr: AttrId, source: string, target: string): void {
    this.#setPair(attr, source, target, false);
  }

  #known(etype: string, id: string): EntityRecord | undefined {
    return this.below.record(etype, id) ?? this.#wider.record(etype, id);
  }

  /** The ends of a link made here are shown, if anything is known of them. */
  #show(attrId: AttrId, source: string, target: string): void {
    const attr = this.#catalog.get(attrId);
    if (!attr?.reverse) return;
    for (const [etype, id] of [
      [attr.etype, source],
      [attr.reverse.etype, target],
    ] as const) {
      if (
        !this.isTouched(etype, id) &&
        !this.below.record(etype, id) &&
        this.#wider.record(etype, id)
      )
        this.open(etype, id);
    }
  }

  #exists({ etype, cells }: OpenRecord): boolean {
    const idAttr = this.#catalog.find(etype, 'id');
    return idAttr !== undefined && cells[idAttr.attr.id] !== undefined;
  }

  #setPair(attr: AttrId, source: string, target: string, isThere: boolean): void {
    const pairs = madeIn(this.#pairs, attr, () => ({ targets: new Map(), sources: new Map() }));
    madeIn(pairs.targets, source, newMap<string, boolean>).set(target, isThere);
    madeIn(pairs.sources, target, newMap<string, boolean>).set(source, isThere);
    this.changes.addPair(attr, source, target);
  }
}

/** Ends that were linked (true) or unlinked (false) here, by the end they are seen from. */
type Ends = Map<string, Map<string, boolean>>;

function merged(
  below: readonly string[],
  written: Map<string, boolean> | undefined,
): readonly string[] {
  if (written === undefined) return below;
  const kept = below.filter((id) => !written.has(id));
  for (const [id, isThere] of written) if (isThere) kept.push(id);
  return kept;
}
