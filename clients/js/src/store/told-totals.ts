import type { Totals } from '../query/totals.ts';
import { isEqual } from '../values/equal.ts';
import { deepFreeze } from '../values/json.ts';

/**
 * The totals of one query: what the server told, moved by pending writes (`move-totals.ts`).
 *
 * A write replayed on rows that contain it changes nothing, but added to a total it would count
 * twice. So writes are kept in mind that were on the way when the totals came.
 */
export class ToldTotals {
  shown: Totals | undefined;
  /** Some of those shown may not contain all pending writes. */
  isPending = false;
  told: Totals | undefined;
  /** Writes that the totals may contain: not acknowledged. Null: not looked at since they came. */
  unsure: ReadonlySet<string> | null = null;

  /** The server told totals, or that those told still hold. */
  land(totals = this.told): void {
    this.told = totals;
    this.unsure = null;
  }

  /** Shows what the server told, without pending writes. */
  stay(): void {
    this.show(this.told, false);
  }

  show(totals: Totals | undefined, isPending: boolean): void {
    this.isPending = isPending;
    if (!isEqual(this.shown, totals)) this.shown = totals && deepFreeze(totals);
  }
}
