import type { EntityRecord } from '../store/view.ts';
import type { Cursor, Form } from './form.ts';
import { local } from '../values/here.ts';
import type { Position } from './sort.ts';

/** Where a page begins and ends, as the server told it. Cursors are null for an empty page. */
export interface PageInfo {
  readonly startCursor: Cursor | null;
  readonly endCursor: Cursor | null;
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
}

/** What a page is cut by, beside the rows. */
export interface PageContext {
  /** The page of a top form, if the server told it. */
  pageInfo(label: string): PageInfo | undefined;
  /** Whether a pending write names this entity. */
  isTouched(etype: string, id: string): boolean;
  /** Where a touched entity stood in the answer without pending writes; undefined: nowhere. */
  positionBefore(form: Form, id: string): Position | undefined;
}

/** Whether an entity that matches is on the page, by its record and its place in the order. */
export type PageTest = (record: EntityRecord, place: number) => boolean;

/**
 * Which of `count` entities that match here in order are on the page of a top form.
 *
 * The server decides which rows are on a page; only rows of pending writes are placed here. So the
 * texts of two collations never disagree about a row.
 */
export function pageTest(form: Form, count: number, context: PageContext): PageTest {
  const { page, label } = form;
  if (page === null) return () => true;
  if (page.isLeading) {
    const { first, last } = page;
    if (last !== null) return (_, place) => place >= count - last;
    return first === null ? () => true : (_, place) => place < first;
  }
  const info = context.pageInfo(label);
  if (info === undefined) return () => false;
  // Without this code nothing is shown that was written here: all that the server sent is on it.
  return local?.pageWithin(form, page, info, context) ?? (() => true);
}
