/**
 * Whether the whole of `text` matches a pattern of `$like` (Q38).
 *
 * `%` is any run of characters, `_` one character (a code point), line ends included; a backslash
 * makes the next character literal.
 *
 * cost   O(pattern · text): only the newest `%` is ever tried again
 */
export function isLike(pattern: string, text: string, isCaseSensitive: boolean): boolean {
  const parts = tokens(isCaseSensitive ? pattern : fold(pattern));
  const chars = [...(isCaseSensitive ? text : fold(text))];
  let part = 0;
  let char = 0;
  let afterRun = -1;
  let runStart = 0;
  while (char < chars.length) {
    const token = parts[part];
    if (token === ANY_RUN) {
      afterRun = ++part;
      runStart = char;
    } else if (token !== undefined && (token === ANY_CHAR || token === chars[char])) {
      part++;
      char++;
    } else if (afterRun >= 0) {
      part = afterRun;
      char = ++runStart;
    } else {
      return false;
    }
  }
  while (parts[part] === ANY_RUN) part++;
  return part === parts.length;
}

const ANY_RUN = Symbol('any run');
const ANY_CHAR = Symbol('any character');

function tokens(pattern: string): (string | symbol)[] {
  const found: (string | symbol)[] = [];
  let isEscaped = false;
  for (const char of pattern) {
    if (!isEscaped && char === '\\') {
      isEscaped = true;
      continue;
    }
    if (isEscaped) found.push(char);
    else if (char === '%') found.push(ANY_RUN);
    else if (char === '_') found.push(ANY_CHAR);
    else found.push(char);
    isEscaped = false;
  }
  if (isEscaped) found.push('\\');
  return found;
}

/** Upper case, one character at a time, as the `i` flag of expressions compares: `ß` stays. */
function fold(text: string): string {
  let folded = '';
  for (const char of text) folded += foldChar(char);
  return folded;
}

function foldChar(char: string): string {
  const upper = char.toUpperCase();
  if ([...upper].length !== 1) return char;
  // No character beyond ASCII is equal to one of ASCII: `ſ` is not `S`.
  return char.charCodeAt(0) >= 128 && upper.charCodeAt(0) < 128 ? char : upper;
}
