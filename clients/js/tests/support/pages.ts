import type { Named } from '../../src/schema/catalog.ts';
import type { PageContext } from '../../src/query/page.ts';

/** No page told, and no pending write. */
export const NO_PAGES: PageContext = {
  pageInfo: () => undefined,
  isTouched: () => false,
  positionBefore: () => undefined,
};

/** Every link is a list, as without a schema. */
export const allLists = () => false;

/** Links that lead to at most one entity are objects. */
export const byCardinality = ({ attr, isForward }: Named) =>
  isForward ? attr.isOne : attr.isUnique;
