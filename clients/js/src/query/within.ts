import { comparePositions, cursorPosition } from './cursors.ts';
import type { Form, Page } from './form.ts';
import type { PageContext, PageInfo, PageTest } from './page.ts';
import { type Position, positionOf } from './sort.ts';

/** Which entities are on a page that does not begin at the first row; see `pageTest`. */
export function pageWithin(form: Form, page: Page, info: PageInfo, context: PageContext): PageTest {
  const { order, etype } = form;
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
