/**
 * What is done here before the server tells of it: a piece of code of its own. It shows pending
 * writes and makes the steps that are sent of them, and picks the rows of what an answer holds for
 * other queries, or for several forms. It is small, so that a write that is made at once is shown
 * and sent soon.
 */
export { readWhere } from '../query/where.ts';
export { pageWithin } from '../query/within.ts';
export { faultsOf, Writes } from '../store/writes.ts';

/** The module, as it is once it is here. */
export type Local = typeof import('./local.ts');
