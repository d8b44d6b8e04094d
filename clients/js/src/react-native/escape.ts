/*
 * Texts as stores of devices keep them. expo-sqlite on iOS ends a text at its first NUL, all of
 * them make UTF-8, in which half a surrogate pair is lost, and SQLite sorts by the bytes of that. A
 * text that was escaped has none of these characters, and its bytes sort as its code units did.
 */

/** Stands before what is escaped: below the first letter, and above all that stay as they are. */
const LOW = '\u0001';
const HIGH = '\ue000';

/** The first code unit that UTF-8 does not sort, or keep, by itself. */
const FIRST_HIGH = 0xd800;

/** Where the second characters of what is escaped begin: no store minds these. */
const SECOND = 0x100;

export function escaped(text: string): string {
  return text.replace(/[\u0000\u0001\ud800-\uffff]/g, (unit) => {
    const code = unit.charCodeAt(0);
    return code < FIRST_HIGH
      ? LOW + String.fromCharCode(SECOND + code)
      : HIGH + String.fromCharCode(SECOND + code - FIRST_HIGH);
  });
}

/** What `escaped` was given. */
export function unescaped(text: string): string {
  return text.replace(/[\u0001\ue000]([^])/g, (pair, second: string) =>
    String.fromCharCode(second.charCodeAt(0) - SECOND + (pair[0] === LOW ? 0 : FIRST_HIGH)),
  );
}

/** At most so many bytes a code unit of an escaped text takes in UTF-8. */
export const UNIT_BYTES_MAX = 3;
