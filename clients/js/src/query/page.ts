import type { EntityRecord } from '../store/view.ts';
import type { Cursor, Form, Page } from './form.ts';
import { comparePositions, cursorPosition, type Position, positionOf } from './sort.ts';

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
  const { page, order, etype, label } = form;
  if (page === null) return () => true;
  if (page.isLeading) {
    const { first, last } = page;
    if (last !== null) return (_, place) => place >= count - last;
    return first === null ? () => true : (_, place) => place < first;
  }
  const info = context.pageInfo(label);
  if (info === undefined) return () => false;
  const { startCursor, endCursor } = info;
  const start = startCursor && cursorPosition(order, startCursor);
  const end = endCursor && cursorPosition(order, endCursor);
  const isWithin = (at: Position) =>
    start !== null &&
    end !== null &&
    comparePositions(order, start, at) <= 0 &&
    comparePositions(order, at, end) <= 0;
  const wasShown = (id: string) => {
    const before = context.positionBefore(form, id);
    return before !== undefined && (!form.isRepeated || isWithin(before));
  };
  const mayEnter = page.hasOffset ? isWithin : entrance(form, page, info, start, end);
  const isInside = insideOf(form, page);
  return (record) => {
    if (!context.isTouched(etype, record.id))
      return !form.isRepeated || isWithin(positionOf(order, record));
    const at = positionOf(order, record);
    return isInside(at) && (wasShown(record.id) || mayEnter(at));
  };
}

/**
 * Whether a position lies between the cursors that the query gives. Pages of which one begins where
 * the other ends thus never show a written row twice, nor lose it between them.
 */
function insideOf({ order }: Form, { after, before }: Page): (at: Position) => boolean {
  const low = after && cursorPosition(order, after.cursor);
  const high = before && cursorPosition(order, before.cursor);
  return (at) => {
    const fromLow = low === null ? 1 : comparePositions(order, at, low);
    const toHigh = high === null ? 1 : comparePositions(order, high, at);
    return (
      (fromLow > 0 || (fromLow === 0 && after!.isInclusive)) &&
      (toHigh > 0 || (toHigh === 0 && before!.isInclusive))
    );
  };
}

/** Whether a row from elsewhere may stand here: not beyond the end at which the page was cut. */
function entrance(
  { order }: Form,
  page: Page,
  { hasNextPage, hasPreviousPage }: PageInfo,
  start: Position | null,
  end: Position | null,
): (at: Position) => boolean {
  if (page.last !== null && hasPreviousPage)
    return (at) => start !== null && comparePositions(order, start, at) <= 0;
  if (page.first !== null && hasNextPage)
    return (at) => end !== null && comparePositions(order, at, end) <= 0;
  return () => true;
}
