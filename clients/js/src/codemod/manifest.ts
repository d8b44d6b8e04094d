import { type Change, type Edit, edited, type Note } from './edit.ts';
import { packageOf } from './packages.ts';

const SECTIONS = [
  'dependencies',
  'devDependencies',
  'peerDependencies',
  'optionalDependencies',
] as const;

type Manifest = Readonly<Record<string, Readonly<Record<string, string>> | undefined>>;

/**
 * Moves a package.json: this package in the place of those of the original.
 *
 * version  of this package, as it is asked for
 * left     modules of the original that sources still name: their packages stay
 */
export function movedManifest(text: string, version: string, left: readonly string[]): Change {
  const parsed = parse(text);
  if (parsed === null)
    return { edits: [], notes: [{ at: 0, why: 'this is no JSON, and left as it is' }] };
  const stay = new Set(left.map(packageOf));
  const edits: Edit[] = [];
  const notes: Note[] = [];
  for (const section of SECTIONS) {
    const all = Object.keys(parsed[section] ?? {});
    const isGone = (name: string) => name.startsWith('@instantdb/') && !stay.has(packageOf(name));
    const gone = all.filter(isGone);
    const has = all.includes('tricedb');
    for (const name of all)
      if (name.startsWith('@instantdb/') && !isGone(name))
        notes.push({
          at: placeOf(text, section, name),
          why: `\`${name}\` stays: it is still used`,
        });
    for (const name of gone) {
      const ours = name === gone[0] && !has ? `"tricedb": ${JSON.stringify(version)}` : null;
      const isLeading = has && all.slice(0, all.indexOf(name)).every(isGone);
      edits.push(line(text, { section, name, ours, isLeading }));
    }
  }
  if (edits.length > 0 && !isMoved(parsed, edited(text, edits), stay))
    return { edits: [], notes: [{ at: 0, why: 'its sections are not understood, and left' }] };
  for (const [name, why] of Object.entries(OTHERS)) {
    const at = text.indexOf(`"${name}"`);
    if (at >= 0) notes.push({ at, why });
  }
  return { edits, notes };
}

/** Whether the new text has all that was there but the packages that go. */
function isMoved(before: Manifest, text: string, stay: ReadonlySet<string>): boolean {
  const after = parse(text);
  const isOf = (name: string) => name === 'tricedb' || name.startsWith('@instantdb/');
  const rest = (manifest: Manifest) =>
    JSON.stringify(manifest, (key, value: unknown) => (isOf(key) ? undefined : value));
  if (after === null || rest(before) !== rest(after)) return false;
  return SECTIONS.every((section) => {
    const [old, now] = [before, after].map((one) => Object.keys(one[section] ?? {}).filter(isOf));
    const kept = old!.filter((name) => name === 'tricedb' || stay.has(packageOf(name)));
    return now!.every((name) => name === 'tricedb' || kept.includes(name));
  });
}

const OTHERS: Readonly<Record<string, string>> = {
  'instant-cli': '`trice push` and `trice pull` do the work of `instant-cli`: docs/schema-files.md',
};

interface Line {
  readonly section: string;
  readonly name: string;
  /** What comes in its place; null: it goes. */
  readonly ours: string | null;
  /** Nothing in front of it stays. */
  readonly isLeading: boolean;
}

/** What puts `ours` in the place of an entry, or takes it out with the comma that goes with it. */
function line(text: string, { section, name, ours, isLeading }: Line): Edit {
  const start = placeOf(text, section, name);
  const entry = /^"[^"]*"\s*:\s*"(?:[^"\\]|\\.)*"/.exec(text.slice(start))![0];
  const end = start + entry.length;
  if (ours !== null) return { start, end, text: ours, what: `${name} → ${ours}` };
  const what = `- ${name}`;
  const before = /(,?)(\s*)$/.exec(text.slice(0, start))!;
  const after = /^\s*,?/.exec(text.slice(end))![0];
  // The gap in front goes along: what follows keeps its own.
  if (isLeading)
    return {
      start: start - before[2]!.length,
      end: end + (after.endsWith(',') ? after.length : 0),
      text: '',
      what,
    };
  return { start: start - before[0].length, end, text: '', what };
}

function placeOf(text: string, section: string, name: string): number {
  return text.indexOf(`"${name}"`, text.indexOf(`"${section}"`));
}

function parse(text: string): Manifest | null {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Manifest) : null;
  } catch {
    return null;
  }
}
