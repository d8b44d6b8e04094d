import type { covers, entityAsked, isFindable } from '../query/cover.ts';
import type { TotalForms } from '../query/totals.ts';
import type { wholeNamespaces } from '../query/whole.ts';
import type { moveTotals } from './move-totals.ts';

/** Code that is fetched after the first paint, and may not be here yet. */
export interface CodeDoor<Code> {
  /** Null: it is not here. */
  readonly part: Code | null;
  /** It is needed now. Whoever fetches it tells when it is here. */
  need(): void;
}

/** What the store takes of it. */
export interface LaterCode {
  readonly TotalForms: typeof TotalForms;
  readonly moveTotals: typeof moveTotals;
  readonly covers: typeof covers;
  readonly entityAsked: typeof entityAsked;
  readonly isFindable: typeof isFindable;
  readonly wholeNamespaces: typeof wholeNamespaces;
}
