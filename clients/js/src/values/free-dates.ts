/**
 * Dates in other forms than plain ISO texts. The forms are those of the server (`catalog/dates`):
 *
 *     2025-01-02   2025-1-2 21:11   2025-01-02T03:04:05.678Z   2025-01-02 03:04:05+0530   20250102
 *     Wed, 09 Jul 2025 14:38:26 GMT   Mon Feb 24 2025 22:37:27 GMT+0000 (Coordinated Universal
 * Time)
 *     8/4/2025, 11:02:31 PM   04-17-2025   2025-01-02 10:00 EST   epoch   infinity   -infinity
 */
import type { clockUs, dayNumber } from './dates.ts';

const MINUTE_US = 60_000_000;
const DAY_US = 24 * 60 * MINUTE_US;
const ZONE_HOURS_MAX = 15;
const TEXT_CHARS_MAX = 128;

const FIXED: Record<string, number> = {
  epoch: 0,
  infinity: Infinity,
  '+infinity': Infinity,
  '-infinity': -Infinity,
};

const MONTH_NAMES =
  'january february march april may june july august september october november december';

const DAY_NAMES = 'sunday monday tuesday wednesday thursday friday saturday';

const MONTHS: Readonly<Record<string, number>> = {
  ...Object.fromEntries(shortened(MONTH_NAMES).map(([name, place]) => [name, place + 1])),
  sept: 9,
};

const WEEKDAYS = new Set([
  ...shortened(DAY_NAMES).map(([name]) => name),
  ...['tues', 'weds', 'thur', 'thurs'],
]);

/** Abbreviations by minutes ahead of UTC, as in PostgreSQL's default set. */
const ZONES = numbered({
  '-600': 'hst',
  '-540': 'akst',
  '-480': 'pst akdt',
  '-420': 'mst pdt',
  '-360': 'cst mdt',
  '-300': 'est cdt',
  '-240': 'ast edt',
  '-180': 'adt',
  0: 'z utc gmt ut uct zulu wet',
  60: 'west wetdst bst cet met',
  120: 'cest cetdst mest metdst eet',
  180: 'eest eetdst msk',
  480: 'sgt awst',
  540: 'jst kst',
  600: 'aest',
  660: 'aedt',
  720: 'nzst',
  780: 'nzdt',
});

// Groups have numbers, and names in `#take`: Hermes came to know named ones late, and Babel finds
// them in literals only.
const TOKEN = new RegExp(
  '[ \\t\\n\\r\\f\\v]*(?:' +
    [
      String.raw`(\d{4,5}([-/.])\d{1,2}\2\d{1,2})`,
      String.raw`(\d{1,2}([-/.])\d{1,2}\4\d{2,5})`,
      String.raw`(\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d*)?)?)`,
      String.raw`([+-]\d{1,2}(?::?\d\d){0,2})(?![\d:])`,
      String.raw`(\d{1,8})(?![\d.:])`,
      String.raw`([A-Za-z]+)\.?`,
      String.raw`,`,
      String.raw`\([^()]*\)[ \t\n\r\f\v]*$`,
    ].join('|') +
    ')',
  'y',
);

/**
 * The instant that a text names in microseconds since 1970-01-01 UTC; null: none.
 *
 * dayOf, clockOf  those of `dates.ts`, which is in another piece of code
 */
export function freeUs(
  text: string,
  dayOf: typeof dayNumber,
  clockOf: typeof clockUs,
): number | null {
  let plain = text.trim();
  if ([...plain].length > TEXT_CHARS_MAX) return null;
  if (plain.startsWith('"')) {
    const inner = unquoted(plain);
    if (inner === null) return null;
    plain = inner;
  }
  const fixed = FIXED[plain.toLowerCase()];
  return fixed ?? new Reading(dayOf, clockOf).read(plain);
}

function unquoted(text: string): string | null {
  try {
    const inner: unknown = JSON.parse(text);
    return typeof inner === 'string' ? inner.trim() : null;
  } catch {
    return null;
  }
}

/** Reads one text token by token; every part may occur once. A step that returns false ends it. */
class Reading {
  readonly #dayOf: typeof dayNumber;
  readonly #clockOf: typeof clockUs;
  #days: number | null = null;
  #month: number | null = null;
  #numbers: string[] = [];
  #clockUs: number | null = null;
  #half: string | null = null;
  #offsetUs: number | null = null;

  constructor(dayOf: typeof dayNumber, clockOf: typeof clockUs) {
    this.#dayOf = dayOf;
    this.#clockOf = clockOf;
  }

  read(text: string): number | null {
    const plain = text.trimEnd();
    let position = 0;
    while (position < plain.length) {
      TOKEN.lastIndex = position;
      const groups = TOKEN.exec(plain);
      if (groups === null || !this.#take(groups)) return null;
      position = TOKEN.lastIndex;
    }
    return this.#us();
  }

  #take(groups: readonly (string | undefined)[]): boolean {
    const [, ymd, , mdy, , time, offset, number, word] = groups;
    if (ymd !== undefined) {
      const [year, month, day] = numbersOf(ymd);
      return this.#setDay(this.#dayOf(year, month, day));
    }
    if (mdy !== undefined) {
      const [month, day] = numbersOf(mdy);
      return this.#setDay(this.#dayOf(fullYear(mdy.split(/[-/.]/)[2]!), month, day));
    }
    if (time !== undefined) return this.#setClock(time);
    if (offset !== undefined) return this.#setOffset(offset);
    if (number !== undefined) {
      if (number.length !== 8) return this.#numbers.push(number) > 0;
      const [year, month, day] = [number.slice(0, 4), number.slice(4, 6), number.slice(6)];
      return this.#setDay(this.#dayOf(Number(year), Number(month), Number(day)));
    }
    return word === undefined || this.#setWord(word.toLowerCase());
  }

  #setDay(days: number | null): boolean {
    if (days === null || this.#days !== null) return false;
    this.#days = days;
    return true;
  }

  #setClock(text: string): boolean {
    if (this.#clockUs !== null) return false;
    const [hour, minute, rest = '0'] = text.split(':');
    const [second, fraction] = rest.split('.');
    this.#clockUs = this.#clockOf(Number(hour), Number(minute), Number(second), fraction);
    return this.#clockUs !== null;
  }

  #setOffset(text: string): boolean {
    if (this.#offsetUs) return false;
    let digits = text.slice(1).replaceAll(':', '');
    if (digits.length % 2 === 1) digits = '0' + digits;
    const [hours, minutes, seconds] = [0, 2, 4].map((at) => Number(digits.slice(at, at + 2)));
    if (hours! > ZONE_HOURS_MAX || minutes! > 59 || seconds! > 59) return false;
    const size = (hours! * 60 + minutes!) * MINUTE_US + seconds! * 1_000_000;
    this.#offsetUs = text.startsWith('-') ? -size : size;
    return true;
  }

  #setWord(word: string): boolean {
    const month = MONTHS[word];
    const zone = ZONES[word];
    if (month !== undefined && this.#month === null) this.#month = month;
    else if ((word === 'am' || word === 'pm') && this.#half === null && this.#clockUs !== null)
      this.#half = word;
    else if (zone !== undefined && this.#offsetUs === null) this.#offsetUs = zone * MINUTE_US;
    else return WEEKDAYS.has(word) || (word === 't' && this.#days !== null);
    return true;
  }

  #us(): number | null {
    const days = this.#day();
    const clock = this.#twelveHour(this.#clockUs ?? 0);
    return days === null || clock === null ? null : days * DAY_US + clock - (this.#offsetUs ?? 0);
  }

  #day(): number | null {
    if (this.#month === null) return this.#numbers.length > 0 ? null : this.#days;
    let [day, year] = this.#numbers;
    if (this.#days !== null || this.#numbers.length !== 2) return null;
    if (day!.length > 2) [day, year] = [year, day];
    return this.#dayOf(fullYear(year!), this.#month, Number(day));
  }

  #twelveHour(clock: number): number | null {
    if (this.#half === null) return clock;
    const hour = 60 * MINUTE_US;
    if (clock < hour || clock >= 13 * hour) return null;
    return (clock % (12 * hour)) + (this.#half === 'pm' ? 12 * hour : 0);
  }
}

/** Each name, and its first three letters, with its place. */
function shortened(names: string): [name: string, place: number][] {
  return names.split(' ').flatMap((name, place): [string, number][] => [
    [name, place],
    [name.slice(0, 3), place],
  ]);
}

/** The number of each name, of names by number. */
function numbered(names: Readonly<Record<number, string>>): Record<string, number> {
  const found = Object.entries(names).flatMap(([number, some]) =>
    some.split(' ').map((name) => [name, Number(number)]),
  );
  return Object.fromEntries(found) as Record<string, number>;
}

function numbersOf(text: string): [number, number, number] {
  return text.split(/[-/.]/).map(Number) as [number, number, number];
}

/** Two digits mean 1970 to 2069. */
function fullYear(digits: string): number {
  const year = Number(digits);
  if (digits.length > 2) return year;
  return year + (year < 70 ? 2000 : 1900);
}
