/** One row of a view: a line, facts beside it, and what it opens to. */
export interface Row {
  /** The same for the same thing: its row is kept, with what is open and focused in it. */
  readonly key: string;
  readonly title: string;
  /** What it is, in a word, before the title. */
  readonly kind?: string;
  /** Short texts beside the title. */
  readonly facts: readonly string[];
  /** Why something failed, shown without opening the row. */
  readonly reason?: string | undefined;
  readonly tone?: 'bad' | 'busy' | undefined;
  /** What the row opens to, asked for while it is open. */
  readonly body?: () => string;
  readonly actions?: readonly Action[];
}

export interface Action {
  readonly label: string;
  run(): void;
}

/** What a view shows. */
export interface Sheet {
  /** One line about all of it. */
  readonly note: string;
  readonly rows: readonly Row[];
}

/** Rows that a view shows at most. */
export const ROWS_MAX = 200;

/** Characters of what a row opens to. */
export const BODY_LENGTH_MAX = 20_000;

/**
 * The first rows that have the text of the filter, in any case. `what` names one of them in the
 * note: `200 of 1,532 events`.
 */
export function filtered<T>(
  all: Iterable<T>,
  filter: string,
  textOf: (one: T) => string,
): { readonly shown: readonly T[]; readonly count: number } {
  const wanted = filter.trim().toLowerCase();
  const shown: T[] = [];
  let count = 0;
  for (const one of all) {
    if (wanted !== '' && !textOf(one).toLowerCase().includes(wanted)) continue;
    count += 1;
    if (shown.length < ROWS_MAX) shown.push(one);
  }
  return { shown, count };
}
