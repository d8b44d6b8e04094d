/**
 * What is done here before the server tells of it: a piece of code of its own. It shows pending
 * writes, makes the steps that are sent of them, and knows which go next and what is refused; and
 * it picks rows where one answer holds those of several forms. It is small, so that a write that
 * is made at once is shown and sent soon.
 */
export { drop, edit, reject, retry, sendable } from '../pending/decide.ts';
export { readWhere } from '../query/where.ts';
export { pageWithin } from '../query/within.ts';
export { faultsOf, Writes } from '../store/writes.ts';
export { instantMs } from '../values/dates.ts';

/** The module, as it is once it is here. */
export type LocalCode = typeof import('./local.ts');
