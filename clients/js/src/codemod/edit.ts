/** A change of a file's text: what stands from `start` to `end` becomes `text`. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** What it does, for people; nothing for parts of another edit. */
  readonly what?: string;
}

/** Something that is left to people. */
export interface Note {
  /** A place in the text. */
  readonly at: number;
  readonly why: string;
}

/** What becomes of one file. */
export interface Change {
  readonly edits: readonly Edit[];
  readonly notes: readonly Note[];
}

/** The text with all edits made. They must not overlap. */
export function edited(text: string, edits: readonly Edit[]): string {
  let out = '';
  let at = 0;
  for (const edit of inOrder(edits)) {
    if (edit.start < at) throw new Error(`Edits overlap at ${edit.start}.`);
    out += text.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return out + text.slice(at);
}

/** The line of a place, from 1 on. */
export function lineOf(text: string, at: number): number {
  return text.slice(0, at).split('\n').length;
}

/** Lines as a diff shows them: those that go after `-`, those that come after `+`. */
export function diffOf(text: string, edits: readonly Edit[]): string[] {
  const lines: string[] = [];
  for (const group of groups(text, inOrder(edits))) {
    const { start, end } = group;
    const shifted = group.edits.map((edit) => ({
      ...edit,
      start: edit.start - start,
      end: edit.end - start,
    }));
    const old = text.slice(start, end);
    lines.push(`@@ line ${lineOf(text, start)}`);
    lines.push(...marked('-', old), ...marked('+', edited(old, shifted)));
  }
  return lines;
}

interface Group {
  readonly start: number;
  readonly end: number;
  readonly edits: readonly Edit[];
}

/** Edits whose lines touch, with the whole lines on which they are. */
function groups(text: string, edits: readonly Edit[]): Group[] {
  const found: Group[] = [];
  for (const edit of edits) {
    const start = text.lastIndexOf('\n', edit.start - 1) + 1;
    // An edit that ends with a line does not touch the next one.
    const isWhole = edit.end > edit.start && text[edit.end - 1] === '\n';
    const newline = text.indexOf('\n', isWhole ? edit.end - 1 : edit.end);
    const end = newline < 0 ? text.length : newline + 1;
    const last = found.at(-1);
    if (last && start < last.end) {
      found[found.length - 1] = {
        start: last.start,
        end: Math.max(end, last.end),
        edits: [...last.edits, edit],
      };
    } else found.push({ start, end, edits: [edit] });
  }
  return found;
}

function marked(mark: string, text: string): string[] {
  if (text === '') return [];
  return text
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
    .map((line) => `${mark} ${line}`);
}

function inOrder(edits: readonly Edit[]): Edit[] {
  return [...edits].sort((a, b) => a.start - b.start || a.end - b.end);
}
