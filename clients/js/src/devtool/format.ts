/** How the panel writes numbers, times and queries. No I/O. */

/** `812 B`, `1.4 kB`, `3.0 MB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1_000) return `${Math.round(bytes)} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** `0.04 ms`, `3.2 ms`, `120 ms`. */
export function msText(ms: number): string {
  return `${ms.toFixed(ms < 1 ? 2 : ms < 100 ? 1 : 0)} ms`;
}

/** `10,500` */
export function countText(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 row`, `12 rows` */
export function countedText(count: number, one: string, more = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : more}`;
}

/** The time of day where the page is: `14:03:07.052`. */
export function timeText(at: number): string {
  const time = new Date(at);
  const digits = (part: number, width: number) => String(part).padStart(width, '0');
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()];
  return `${clock.map((part) => digits(part, 2)).join(':')}.${digits(time.getMilliseconds(), 3)}`;
}

/** JSON as people write objects: `{todos: {$: {limit: 3}}}`. */
export function plainText(json: string): string {
  return json.replace(/("(?:[^"\\]|\\.)*")(\s*:)?|,/g, (part, text?: string, colon?: string) => {
    if (text === undefined) return `${part} `;
    if (colon === undefined) return text;
    return /^"[A-Za-z_$][\w$]*"$/.test(text) ? `${text.slice(1, -1)}: ` : `${text}: `;
  });
}

/** Characters of a query that are shown in one line. */
const LINE_LENGTH_MAX = 400;

/** A query in one line, from its JSON. */
export function queryLine(json: string): string {
  const isCut = json.length > LINE_LENGTH_MAX;
  return plainText(json.slice(0, LINE_LENGTH_MAX)) + (isCut ? ' …' : '');
}

/** A value over several lines, at most so many characters. */
export function linesOf(value: unknown, lengthMax: number): string {
  const text = JSON.stringify(value, null, 2) ?? '';
  return text.length > lengthMax ? `${text.slice(0, lengthMax)}\n…` : text;
}

/** Values of rows that are looked at to tell their size. */
const VALUES_MAX = 2_000;

/**
 * About how many characters rows have as JSON. A part of them is looked at, the rest taken to be
 * like it, so that it costs the same however many there are.
 */
export function lengthOf(rows: readonly unknown[]): number {
  let length = 2;
  let left = VALUES_MAX;
  const walk = (value: unknown): void => {
    if (left-- <= 0) return;
    if (typeof value === 'string') length += value.length + 3;
    else if (typeof value !== 'object' || value === null) length += String(value).length + 1;
    else {
      length += 3;
      const isList = Array.isArray(value);
      for (const key in value) {
        if (left <= 0) return;
        if (!isList) length += key.length + 3;
        walk((value as Record<string, unknown>)[key]);
      }
    }
  };
  let seen = 0;
  for (; seen < rows.length && left > 0; seen++) walk(rows[seen]);
  return seen === 0 ? length : (length * rows.length) / seen;
}
