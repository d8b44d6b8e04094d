import type { Named } from '../schema/catalog.ts';
import { otherEnd } from '../schema/catalog.ts';
import type { ChangeSet, View } from '../store/view.ts';
import type { Form } from './form.ts';
import { linkedIds } from './match.ts';

/** More entities than this are not looked for one by one: the form runs anew. */
const ROOTS_MAX = 2_000;

/** Entities of a form that must be looked at again; null: all of them. */
export type Dirty = ReadonlySet<string> | null;

/**
 * Entities whose match may have changed: those that changed, and those from which a path of the
 * `where` leads to a change.
 *
 * Links that went stand in the change set, and what leads to them is walked back in the new state.
 */
export function dirtyMatches(form: Form, view: View, changes: ChangeSet): Dirty {
  const dirty = new Set(changes.entities.get(form.etype)?.keys());
  for (const path of form.paths) {
    for (let depth = 0; depth < path.length; depth++) {
      const near = nearEnds(path, depth, changes);
      if (!addRoots(path, depth, near, view, dirty)) return null;
    }
  }
  return dirty.size > ROOTS_MAX ? null : dirty;
}

/**
 * Entities that are linked with one of `ids` of a child form, and the ends of links that changed.
 */
export function dirtyParents(link: Named, ids: Dirty, view: View, changes: ChangeSet): Dirty {
  if (ids === null) return null;
  const dirty = new Set(changedEnds(link, changes));
  for (const id of ids)
    for (const parent of linkedIds(view, backwards(link), id)) dirty.add(parent);
  return dirty.size > ROOTS_MAX ? null : dirty;
}

/** Entities at `depth` of a path where something changed: themselves, or the next link. */
function nearEnds(path: readonly Named[], depth: number, changes: ChangeSet): Set<string> {
  const named = path[depth]!;
  const before = path[depth - 1];
  const found = new Set(before && changes.entities.get(otherEnd(before))?.keys());
  if (named.attr.isLink) for (const id of changedEnds(named, changes)) found.add(id);
  return found;
}

/** Adds the entities from which the path leads to `ids` at `depth`; false if there are too many. */
function addRoots(
  path: readonly Named[],
  depth: number,
  ids: Set<string>,
  view: View,
  dirty: Set<string>,
): boolean {
  let here = ids;
  for (let step = depth - 1; step >= 0 && here.size > 0; step--) {
    const back = backwards(path[step]!);
    const reached = new Set<string>();
    for (const id of here) for (const root of linkedIds(view, back, id)) reached.add(root);
    if (reached.size > ROOTS_MAX) return false;
    here = reached;
  }
  for (const id of here) dirty.add(id);
  return true;
}

/** The near ends of changed pairs of a link. */
function changedEnds({ attr, isForward }: Named, changes: ChangeSet): string[] {
  return changes.pairs
    .filter((pair) => pair.attr === attr.id)
    .map((pair) => (isForward ? pair.source : pair.target));
}

function backwards({ attr, isForward }: Named): Named {
  return { attr, isForward: !isForward };
}
