/**
 * Copies of states, for a store that is written into: what the database shows is frozen, and shared
 * by all who look. A row that two states in a row have in common is copied once. Nothing else is: a
 * copy in two places of the store would change in both.
 */
export class Copies {
  /** Rows of the newest state, and their copies. */
  #rows = new Map<object, object>();

  /** A copy of a state, which has its rows by form in `data`, or something else. */
  of<T extends object>(state: T): T {
    const before = this.#rows;
    const rows = (this.#rows = new Map());
    const rowCopy = (row: object) => {
      const copied = before.get(row) ?? copyOf(row);
      rows.set(row, copied);
      return copied;
    };
    const formCopy = (form: unknown) => (Array.isArray(form) ? form.map(rowCopy) : copyOf(form));
    return eachOf(state, (part, name) =>
      name === 'data' && isPlain(part) ? eachOf(part, formCopy) : copyOf(part),
    ) as T;
  }
}

function copyOf(value: unknown): any {
  if (Array.isArray(value)) return value.map(copyOf);
  return isPlain(value) ? eachOf(value, copyOf) : value;
}

function eachOf(value: object, copy: (part: unknown, name: string) => unknown): object {
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, copy(part, name)]));
}

/** Whether a store looks into it. */
function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === PLAIN;
}

const PLAIN: unknown = Object.prototype;
