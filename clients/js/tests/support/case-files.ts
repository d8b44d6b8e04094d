/** Reads spec/cases: the same format as server/tests/cases/case_file.py. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WireAttr } from '../../src/schema/attr.ts';
import type { Triple } from '../../src/store/bag.ts';

export const CASES = join(import.meta.dirname, '../../../../spec/cases');

export interface Command {
  readonly words: readonly string[];
  readonly source: string;
  readonly expected: string;
}

export interface Case {
  readonly file: string;
  readonly title: string;
  readonly header: readonly string[];
  readonly seed: string;
  readonly commands: Command[];
}

/** All cases of a folder of spec/cases. */
export function readCases(folder: string): Case[] {
  return readdirSync(join(CASES, folder))
    .sort()
    .flatMap((file) => readFile(folder, file));
}

function readFile(folder: string, file: string): Case[] {
  const cases: Case[] = [];
  for (const block of readFileSync(join(CASES, folder, file), 'utf8')
    .trim()
    .split(/\n\n+/)) {
    let lines = block.split('\n');
    const header = lines.filter((line) => line.startsWith('# '));
    lines = lines.slice(header.length);
    if (header.length > 0)
      cases.push({
        file,
        title: header[0]!.slice(2),
        header,
        seed: lines.shift()!.slice(5),
        commands: [],
      });
    const rule = lines.indexOf('----');
    cases.at(-1)!.commands.push({
      words: lines[0]!.split(' '),
      source: lines.slice(1, rule).join('\n'),
      expected: lines.slice(rule + 1).join('\n'),
    });
  }
  return cases;
}

/** The id of an alias such as `b12`. */
export function aliasId(alias: string): string {
  const [, letters, number] = /^([a-z]{1,4})(\d+)$/.exec(alias)!;
  const hex = Buffer.from(letters!).toString('hex').padStart(8, '0');
  return `ca5e0000-0000-4000-8000-${hex}${Number(number).toString(16).padStart(4, '0')}`;
}

/** A text with aliases in the place of ids. */
export function withAliases(text: string): string {
  return text.replace(
    /ca5e0000-0000-4000-8000-([0-9a-f]{8})([0-9a-f]{4})/g,
    (_, letters: string, number: string) =>
      Buffer.from(letters, 'hex').toString().replaceAll('\0', '') + parseInt(number, 16),
  );
}

/** Input of a command, with ids in the place of `@aliases` and cursors in that of `<end books>`. */
export function resolve(value: unknown, cursors: Record<string, unknown> = {}): unknown {
  if (Array.isArray(value)) return value.map((one) => resolve(one, cursors));
  if (value && typeof value === 'object')
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [key, resolve(one, cursors)]),
    );
  if (typeof value !== 'string') return value;
  if (value.startsWith('<')) return cursors[value];
  return value.replace(/@([a-z]{1,4}\d+)/g, (_, alias: string) => aliasId(alias));
}

type Step = [op: string, etype: string, id: string, args: Record<string, unknown>];

/** A seed as attrs and as the triples of all its rows. */
export function loadSeed(name: string): { attrs: WireAttr[]; triples: Triple[] } {
  const seed = JSON.parse(readFileSync(join(CASES, 'seeds', `${name}.json`), 'utf8')) as {
    entities: Record<string, Record<string, string>>;
    links: string[];
    rows: Step[];
  };
  const attrs: WireAttr[] = [];
  for (const [etype, fields] of Object.entries(seed.entities)) {
    attrs.push(fieldAttr(etype, 'id', 'string unique indexed'));
    for (const [label, flags] of Object.entries(fields)) attrs.push(fieldAttr(etype, label, flags));
  }
  for (const text of seed.links) attrs.push(linkAttr(text));
  return { attrs, triples: triplesOf(attrs, seed.rows) };
}

let attrCount = 0;

function attrId(): string {
  return `a7700000-0000-4000-8000-${(++attrCount).toString(16).padStart(12, '0')}`;
}

function fieldAttr(etype: string, label: string, spec: string): WireAttr {
  const [type, ...flags] = spec.split(' ');
  return {
    id: attrId(),
    'forward-identity': [attrId(), etype, label],
    'value-type': 'blob',
    cardinality: 'one',
    'unique?': flags.includes('unique'),
    'index?': flags.includes('indexed'),
    'required?': flags.includes('required'),
    ...(type === 'json' || type === 'any' || label === 'id'
      ? {}
      : { 'checked-data-type': type as 'string' }),
  };
}

function linkAttr(text: string): WireAttr {
  const [forward, reverse] = text.split(' <-> ').map((side) => {
    const [path, has, ...flags] = side.split(' ');
    const [etype, label] = path!.split('.');
    return { etype: etype!, label: label!, has, flags };
  });
  return {
    id: attrId(),
    'forward-identity': [attrId(), forward!.etype, forward!.label],
    'reverse-identity': [attrId(), reverse!.etype, reverse!.label],
    'value-type': 'ref',
    cardinality: forward!.has === 'one' ? 'one' : 'many',
    'unique?': reverse!.has === 'one',
    'index?': false,
    'required?': forward!.flags.includes('required'),
    ...(forward!.flags.includes('cascade') ? { 'on-delete': 'cascade' as const } : {}),
    ...(reverse!.flags.includes('cascade') ? { 'on-delete-reverse': 'cascade' as const } : {}),
  };
}

/** What rows of a seed are as triples; all of one step are made at one time. */
function triplesOf(attrs: WireAttr[], rows: Step[]): Triple[] {
  const find = (etype: string, label: string) =>
    attrs.find(({ 'forward-identity': [, on, name] }) => on === etype && name === label);
  const findReverse = (etype: string, label: string) =>
    attrs.find(
      (attr) => attr['reverse-identity']?.[1] === etype && attr['reverse-identity'][2] === label,
    );
  const triples = new Map<string, Triple>();
  rows.forEach(([op, etype, alias, args], index) => {
    const id = resolve(alias) as string;
    const time = 1_000 + index;
    if (op === 'link') {
      for (const [label, ends] of Object.entries(args)) {
        const forward = find(etype, label);
        for (const end of [ends].flat().map((one) => resolve(one) as string)) {
          const [source, target] = forward ? [id, end] : [end, id];
          const attr = forward ?? findReverse(etype, label)!;
          const name =
            attr.cardinality === 'one' ? `${source} ${attr.id}` : `${source} ${attr.id} ${target}`;
          triples.set(name, [source, attr.id, target, time]);
        }
      }
      return;
    }
    const idAttr = find(etype, 'id')!;
    const created = triples.get(`${id} ${idAttr.id}`)?.[3] ?? time;
    triples.set(`${id} ${idAttr.id}`, [id, idAttr.id, id, created]);
    for (const attr of attrs) {
      const [, on, label] = attr['forward-identity'];
      if (on !== etype || attr['value-type'] === 'ref' || label === 'id') continue;
      const name = `${id} ${attr.id}`;
      if (Object.hasOwn(args, label))
        triples.set(name, [id, attr.id, resolve(args[label]), created]);
      // An indexed field that was never set is null (Q72).
      else if (attr['index?'] && !triples.has(name))
        triples.set(name, [id, attr.id, null, created]);
    }
  });
  // A link of cardinality one carries the time of its source.
  return [...triples.values()];
}
