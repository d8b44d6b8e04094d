import type { Named } from '../schema/catalog.ts';
import type { View } from '../store/view.ts';
import type { Form } from './form.ts';

/** Whether an entity that exists satisfies the `where` of a form. */
export function matches({ isEmpty, where }: Form, view: View, id: string): boolean {
  return !isEmpty && where?.(view, id) !== false;
}

/** Ids at the other end of a link. */
export function linkedIds(view: View, { attr, isForward }: Named, id: string): readonly string[] {
  return isForward ? view.targets(attr.id, id) : view.sources(attr.id, id);
}
