import { otherEnd } from '../schema/catalog.ts';
import type { Evaluation } from './evaluate.ts';
import type { Level } from './level.ts';

/**
 * Namespaces of which the answers of a query hold whole entities only: no form names fields of
 * theirs, and no path leads there, which the server proves by single values.
 */
export function wholeNamespaces({ tops, namespaces }: Evaluation): ReadonlySet<string> {
  const partial = new Set(tops.flatMap((top) => partialNamespaces(top.level)));
  return new Set([...namespaces].filter((etype) => !partial.has(etype)));
}

/** Namespaces of which rows may hold only a part of an entity. */
function partialNamespaces({ form, children }: Level): string[] {
  const { etype, fields, paths } = form;
  const links = paths.flat().filter(({ attr }) => attr.isLink);
  return [
    ...(fields === null ? [] : [etype]),
    ...links.map(otherEnd),
    ...children.flatMap(partialNamespaces),
  ];
}
