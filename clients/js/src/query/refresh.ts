/** Brings rows up to date after changes, by looking only at what they may have touched. */
import type { ChangeSet, EntityRecord, View } from '../store/view.ts';
import { type Dirty, dirtyMatches, dirtyParents } from './dirty.ts';
import type { Order } from './form.ts';
import type { Level } from './level.ts';
import { matches } from './match.ts';
import type { Row } from './row.ts';
import { compare, keyOf, type Position, positionOf } from './sort.ts';
import type { Top } from './top.ts';

/** Computes the rows of a top form that `changes`, which led to `view`, may have touched. */
export function refreshTop(top: Top, view: View, changes: ChangeSet): void {
  const { match, row } = refreshLevel(top.level, view, changes);
  if (match === null || row === null) return top.run(view);
  const { form } = top.level;
  top.candidates = match.size;
  const changed = changes.entities.get(form.etype);
  for (const id of new Set([...match, ...row])) {
    const record = view.record(form.etype, id);
    const before = changed?.has(id) ? changed.get(id) : record;
    const place = before ? placeOf(top, before) : -1;
    const isThere = top.sorted[place]?.id === id;
    if (isThere && !match.has(id)) top.candidates += 1;
    const isMatch = match.has(id) ? record && matches(form, view, id) : isThere;
    replace(top, view, isThere ? place : -1, isMatch ? record : undefined);
  }
}

/**
 * Forgets what the changes may have touched.
 *
 * returns  match: entities whose match must be looked at; row: those whose row must be
 */
function refreshLevel(level: Level, view: View, changes: ChangeSet): { match: Dirty; row: Dirty } {
  const match = dirtyMatches(level.form, view, changes);
  if (match === null) level.matched.clear();
  else for (const id of match) level.matched.delete(id);
  let row: Dirty = new Set(changes.entities.get(level.form.etype)?.keys());
  for (const child of level.children) {
    const below = refreshLevel(child, view, changes);
    const link = child.form.link;
    if (link === null) continue;
    row = union(row, dirtyParents(link, union(below.match, below.row), view, changes));
  }
  level.forget(row);
  return { match, row };
}

function union(one: Dirty, other: Dirty): Dirty {
  return one === null || other === null ? null : new Set([...one, ...other]);
}

function placeOf({ sorted, level }: Top, record: EntityRecord): number {
  const { order } = level.form;
  return placeIn(order, sorted, positionOf(order, record));
}

/**
 * Puts what an entity is now in the place where it belongs.
 *
 * place  where it stands; -1: nowhere
 * after  undefined: it does not match
 */
function replace(top: Top, view: View, place: number, after: EntityRecord | undefined): void {
  const { level, sorted } = top;
  const { order, page } = level.form;
  let row: Row | undefined;
  if (place >= 0) {
    row = top.shaped[place];
    if (after && isSamePlace(order, sorted[place]!, after)) {
      sorted[place] = after;
      const shown = row && level.shape(view, after, row);
      if (shown !== row) top.open()[place] = shown;
      return;
    }
    sorted.splice(place, 1);
    top.open().splice(place, 1);
  }
  if (after) {
    const to = placeOf(top, after);
    sorted.splice(to, 0, after);
    // Rows of a page are shaped when they are shown.
    const isShaped = row !== undefined || page === null;
    top.open().splice(to, 0, isShaped ? level.shape(view, after, row) : undefined);
  }
}

/** Whether two records of an entity stand at the same place. */
function isSamePlace(order: Order, one: EntityRecord, other: EntityRecord): boolean {
  return keyOf(order, one) === keyOf(order, other);
}

/** The place of a position in sorted records, or where it would stand. */
function placeIn(order: Order, records: readonly EntityRecord[], { id, key }: Position): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const record = records[middle]!;
    if (compare(order, keyOf(order, record), record.id, key, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
