/** What changed in what a live call returned, in the place of all of it. */

interface Row {
  readonly id: string;
}

/** What changed in a list: rows that left, rows that are others or new, and where rows go. */
interface ListChanges {
  readonly gone?: readonly string[];
  readonly put?: readonly Row[];
  readonly order?: readonly (readonly [at: number, id: string])[];
}

/** `rest` has the lists empty; without it all but the lists is as before. Lists are by path. */
export interface CallDelta {
  readonly rest?: unknown;
  readonly lists?: Readonly<Record<string, ListChanges>>;
}

type Values = Readonly<Record<string, unknown>>;

/** What a delta leads to from what was returned before, with the same rows where they are kept. */
export function changed(before: unknown, { rest = before, lists = {} }: CallDelta): unknown {
  return Object.entries(lists).reduce(
    (value, [path, changes]) => put(value, before, path ? path.split('.') : [], changes),
    rest,
  );
}

function put(
  value: unknown,
  before: unknown,
  [label, ...below]: readonly string[],
  changes: ListChanges,
): unknown {
  if (label === undefined) return changedRows(before as readonly Row[], changes);
  const inside = put((value as Values)[label], (before as Values)[label], below, changes);
  return { ...(value as Values), [label]: inside };
}

function changedRows(
  before: readonly Row[],
  { gone = [], put = [], order = [] }: ListChanges,
): Row[] {
  const rows = new Map([...before, ...put].map((row) => [row.id, row]));
  const left = new Set([...gone, ...order.map(([, id]) => id)]);
  const ids = [...rows.keys()].filter((id) => !left.has(id));
  for (const [at, id] of order) ids.splice(at, 0, id);
  return ids.map((id) => rows.get(id)!);
}
