/**
 * Writes apps of one size for the compiler to count: 60 namespaces of 12 fields, 300 links, 60
 * queries three levels deep, 120 writes. Equal but for the import and where the types come from.
 */

export const NAMESPACES = 60;
const FIELDS = 12;
const LINKS = 300;

/** The types and marks that fields have, in turn. */
const FIELD_KINDS = [
  { make: 'i.string()', row: 'string', written: 'string', value: `'text'` },
  { make: 'i.number().indexed()', row: 'number', written: 'number', value: '7' },
  { make: 'i.boolean()', row: 'boolean', written: 'boolean', value: 'true' },
  {
    make: 'i.date().indexed()',
    row: 'string | number',
    written: 'string | number | Date',
    value: 'new Date(0)',
  },
  { make: 'i.string().unique().indexed()', row: 'string', written: 'string', value: `'text'` },
  {
    make: 'i.json<{ x: number }>().optional()',
    row: '{ x: number }',
    written: '{ x: number } | null',
    value: '{ x: 1 }',
  },
] as const;

interface Link {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly has: 'one' | 'many';
}

const range = (length: number) => Array.from({ length }, (_, place) => place);
const kindOf = (field: number) => FIELD_KINDS[field % FIELD_KINDS.length]!;

/** Each namespace has five links that begin there, to others spread over all. */
const links: readonly Link[] = range(LINKS).map((link) => {
  const from = link % NAMESPACES;
  const turn = Math.floor(link / NAMESPACES);
  const to = (from + 1 + turn * 7) % NAMESPACES;
  return { name: `link${link}`, from, to, has: link % 2 === 0 ? 'one' : 'many' };
});

const isOptional = (field: number) => kindOf(field).make.includes('optional');
const labelOf = (link: Link) => `to${link.name}`;
const backOf = (link: Link) => `of${link.name}`;
const linksFrom = (namespace: number) => links.filter(({ from }) => from === namespace);

/** The schema as its author writes it, for either client. */
export function schemaSource(library: string): string {
  const entities = range(NAMESPACES).map((namespace) => {
    const fields = range(FIELDS).map((field) => `      field${field}: ${kindOf(field).make},`);
    return `    ns${namespace}: i.entity({\n${fields.join('\n')}\n    }),`;
  });
  const ends = links.map(
    (link) =>
      `    ${link.name}: {\n` +
      `      forward: { on: 'ns${link.from}', has: '${link.has}', label: '${labelOf(link)}' },\n` +
      `      reverse: { on: 'ns${link.to}', has: 'many', label: '${backOf(link)}' },\n    },`,
  );
  return [
    `import { i } from '${library}';`,
    'export const schema = i.schema({',
    `  entities: {\n${entities.join('\n')}\n  },`,
    `  links: {\n${ends.join('\n')}\n  },`,
    '});',
  ].join('\n');
}

/** The same schema as flat interfaces. */
export function interfacesSource(): string {
  const parts = range(NAMESPACES).flatMap((namespace) => {
    const fields = range(FIELDS).map((field) => {
      const type = kindOf(field).row;
      return `  field${field}${isOptional(field) ? '?' : ''}: ${type};`;
    });
    const writes = range(FIELDS).map((field) => {
      const type = kindOf(field).written;
      return `  field${field}${isOptional(field) ? '?' : ''}: ${type};`;
    });
    const ends = links.flatMap((link) => [
      ...(link.from === namespace
        ? [`  ${labelOf(link)}: { to: 'ns${link.to}'; has: '${link.has}' };`]
        : []),
      ...(link.to === namespace
        ? [`  ${backOf(link)}: { to: 'ns${link.from}'; has: 'many' };`]
        : []),
    ]);
    return [
      `export interface Row${namespace} {\n  id: string;\n${fields.join('\n')}\n}`,
      `export interface Write${namespace} {\n${writes.join('\n')}\n}`,
      `export interface Links${namespace} {\n${ends.join('\n')}\n}`,
    ];
  });
  const table = (name: string, entry: (namespace: number) => string) =>
    `export interface ${name} {\n${range(NAMESPACES)
      .map((namespace) => `  ns${namespace}: ${entry(namespace)};`)
      .join('\n')}\n}`;
  return [
    `import type { SchemaShape } from 'tricedb';`,
    ...parts,
    table('Rows', (namespace) => `Row${namespace}`),
    table('Writes', (namespace) => `Write${namespace}`),
    table('By', (namespace) => `Links${namespace}`),
    table('Unique', () => `'field4' | 'field10'`),
    table('Indexed', () => `'field1' | 'field3' | 'field4' | 'field7' | 'field9' | 'field10'`),
    'export interface Schema extends SchemaShape {',
    '  rows: Rows; writes: Writes; by: By; unique: Unique; indexed: Indexed; rooms: {};',
    '}',
    'export declare const schema: Schema;',
  ].join('\n');
}

/** Queries whose results are read, and writes: of components, or of a program on a server. */
export function appSource(library: string): string {
  const query = library.endsWith('/admin') ? askedSource : querySource;
  return [
    `import { id, init } from '${library}';`,
    `import { schema } from './schema.ts';`,
    `const db = init({ appId: 'app', schema });`,
    ...range(NAMESPACES).flatMap((namespace) => [query(namespace), writesSource(namespace)]),
  ].join('\n');
}

function querySource(namespace: number): string {
  return `
export function Query${namespace}() {
  const { data, isLoading, error } = db.useQuery(${formsSource(namespace)});
  if (isLoading || error) return null;
  ${readSource(namespace)}
}`;
}

function askedSource(namespace: number): string {
  return `
export async function query${namespace}() {
  const data = await db.query(${formsSource(namespace)});
  ${readSource(namespace)}
}`;
}

function formsSource(namespace: number): string {
  const [first] = linksFrom(namespace) as [Link];
  const [, deep] = linksFrom(first.to) as [Link, Link];
  return `{
    ns${namespace}: {
      $: {
        where: { field1: { $gt: ${namespace} }, field0: 'text' },
        order: { field3: 'desc' },
        limit: 10,
      },
      ${labelOf(first)}: { ${labelOf(deep)}: {} },
    },
  }`;
}

function readSource(namespace: number): string {
  const [first] = linksFrom(namespace) as [Link];
  const [, deep] = linksFrom(first.to) as [Link, Link];
  const read = (link: Link, row: string) =>
    link.has === 'one' ? `${row}.${labelOf(link)}?` : `${row}.${labelOf(link)}[0]?`;
  return `const row = data.ns${namespace}[0];
  if (!row) return null;
  const texts: (string | undefined)[] = [
    row.field0,
    ${read(first, 'row')}.field4,
    ${read(deep, read(first, 'row'))}.field0,
  ];
  return texts.join(' ');`;
}

function writesSource(namespace: number): string {
  const [first] = linksFrom(namespace) as [Link];
  const values = range(FIELDS).map((field) => `field${field}: ${kindOf(field).value}`);
  return `
export function write${namespace}(one: string, other: string) {
  return db.transact([
    db.tx.ns${namespace}[one]!
      .update({ field0: 'text', field1: ${namespace} })
      .link({ ${labelOf(first)}: other }),
    db.tx.ns${namespace}[id()]!.create({ ${values.join(', ')} }),
  ]);
}`;
}
