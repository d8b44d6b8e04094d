/**
 * Dates as apps write them, turned into instants. A stored date keeps its text; only comparisons
 * and orders turn it (instant-semantics §1.8). Numbers and plain ISO texts are read here; the code
 * that reads the other forms is fetched by apps that have dates (`free-dates`).
 */
import { readFreeDate } from './here.ts';

const DAY_US = 86_400_000_000;
const DAY_MS = 86_400_000;
const YEAR_MAX = 99_999;
const NUMBER_US_MAX = 2 ** 62;

/** What `toISOString` writes, and similar: nearly all dates. */
const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)?)?$/;

/**
 * The instant of a date value in microseconds since 1970-01-01 UTC (Q184); null for what is no
 * date.
 *
 * value    a number of milliseconds since then, or text in one of the forms above
 * returns  `now`, `today` and the like name no fixed instant: null. ±Infinity for `infinity`.
 *          Instants after the year 2255 are exact to a few microseconds only
 */
export function instantUs(value: unknown): number | null {
  if (typeof value === 'string') return textUs(value);
  if (typeof value !== 'number' || !Number.isFinite(value)) return null;
  const micros = roundHalfEven(value * 1000);
  return Math.abs(micros) < NUMBER_US_MAX ? micros : null;
}

/** The millisecond in which a date value lies: what pages are ordered by (Q180). */
export function instantMs(value: unknown): number | null {
  const micros = instantUs(value);
  return micros === null ? null : Math.floor(micros / 1000);
}

/** Python rounds halves to even, and so do the instants of the server. */
function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

function textUs(text: string): number | null {
  const iso = ISO.exec(text);
  if (iso === null) return readFreeDate?.(text, dayNumber, clockUs) ?? null;
  const days = dayNumber(Number(iso[1]), Number(iso[2]), Number(iso[3]));
  if (days === null) return null;
  if (iso[4] === undefined) return days * DAY_US;
  const clock = clockUs(Number(iso[4]), Number(iso[5]), Number(iso[6]), iso[7]);
  return clock === null ? null : days * DAY_US + clock;
}

/** Days since 1970-01-01, or null for a day that no calendar has. */
export function dayNumber(year: number, month: number, day: number): number | null {
  if (year < 1 || year > YEAR_MAX || month < 1 || month > 12 || day < 1) return null;
  // `setUTCFullYear` takes the years 0 to 99 as they are, `Date.UTC` does not.
  const found = new Date(0);
  found.setUTCFullYear(year, month - 1, day);
  return found.getUTCDate() === day ? found.getTime() / DAY_MS : null;
}

/** Microseconds since midnight; 24:00:00 and a leap second are allowed. */
export function clockUs(
  hour: number,
  minute: number,
  second: number,
  fraction: string | undefined,
): number | null {
  if (hour > 24 || minute > 59 || second > 60 || (hour === 24 && (minute > 0 || second > 0)))
    return null;
  const micros = fraction ? roundHalfEven(Number(fraction) * 10 ** (6 - fraction.length)) : 0;
  return ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros;
}
