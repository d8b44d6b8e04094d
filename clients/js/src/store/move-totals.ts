import type { Entry } from '../pending/entry.ts';
import type { TotalForms } from '../query/totals.ts';
import type { ToldTotals } from './told-totals.ts';
import type { View } from './view.ts';
import type { Fill } from './writes.ts';

/** Computes the totals that are shown. `whole` has the entities of which all is known. */
export function moveTotals(
  told: ToldTotals,
  forms: TotalForms,
  whole: View,
  fill: Fill | null,
  tx: number | null,
): void {
  const totals = told.told;
  const filled = totals && fill?.(whole, whole, tx);
  const entries = filled?.entries ?? [];
  const unsure = unsureOf(told, entries);
  if (!filled || entries.length === 0) return told.show(totals, false);
  const sure = entries.filter(({ id }) => !unsure.has(id));
  const moved = forms.move(totals, {
    whole,
    after: filled.overlay,
    open: entries.flatMap(({ tx: acked, operations }) => (acked === null ? operations : [])),
    created: sure.flatMap(({ operations }) => operations).filter(([name]) => name === 'create'),
  });
  told.show(moved.totals, moved.isPending);
}

function unsureOf(told: ToldTotals, entries: readonly Entry[]): ReadonlySet<string> {
  const open = entries.filter(({ tx, wasSent }) => tx === null && wasSent).map(({ id }) => id);
  const { unsure } = told;
  return (told.unsure = new Set(unsure === null ? open : open.filter((id) => unsure.has(id))));
}
