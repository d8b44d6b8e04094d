/** A small world of books, people and tags, and random queries and changes of it. */
import type { WireAttr } from '../../src/schema/attr.ts';
import type { TransactionChunk, TxBuilder } from '../../src/pending/builder.ts';
import type { SchemaShape } from '../../src/schema/shape.ts';
import type { Delta, Triple } from '../../src/store/bag.ts';
import { loadSeed } from './case-files.ts';
import type { Random } from './random.ts';

const shelf = loadSeed('shelf');

export const SHELF_ATTRS: readonly WireAttr[] = shelf.attrs;

export const SHELF_TRIPLES: readonly Triple[] = shelf.triples;

/** The same as a schema that `init` takes. */
export const SHELF_SCHEMA: SchemaShape = schemaOf(shelf.attrs);

const NAMESPACES = ['books', 'people', 'tags'];

/** So much is made at first: in an empty world most queries show nothing. */
const ENTITIES_FIRST = 30;
const LINKS_FIRST = 60;

/** The triples of a world that changes. */
export class World {
  readonly #random: Random;
  #triples = new Map<string, Triple>();
  #time = 10_000;

  constructor(random: Random) {
    this.#random = random;
    for (const triple of shelf.triples) this.#triples.set(keyOf(triple), triple);
    for (let count = 0; count < ENTITIES_FIRST; count++)
      this.#update(NAMESPACES[count % NAMESPACES.length]!, random.uuid());
    for (let count = 0; count < LINKS_FIRST; count++) this.#linkAny();
  }

  get triples(): Triple[] {
    return [...this.#triples.values()];
  }

  /** A few random writes, as the delta that a client gets. */
  step(): Delta {
    const before = new Map(this.#triples);
    const count = 1 + this.#random.below(4);
    for (let index = 0; index < count; index++) this.#write();
    return difference(before, this.#triples);
  }

  /** Ids that exist in a namespace, and one that does not. */
  #ids(etype: string): string[] {
    const idAttr = attr(etype, 'id').id;
    return [
      ...this.triples.filter(([, attrId]) => attrId === idAttr).map(([id]) => id),
      this.#random.uuid(),
    ];
  }

  #write(): void {
    const random = this.#random;
    const etype = random.pick(NAMESPACES);
    const id = random.pick(this.#ids(etype));
    const roll = random.next();
    if (roll < 0.1) this.#delete(etype, id);
    else if (roll < 0.55) this.#linkAny();
    else this.#update(etype, id);
  }

  #update(etype: string, id: string): void {
    const time = this.#triples.get(`${id} ${attr(etype, 'id').id}`)?.[3] ?? ++this.#time;
    this.#put([id, attr(etype, 'id').id, id, time]);
    for (const one of fieldsOf(etype)) {
      const name = `${id} ${one.id}`;
      if (this.#random.chance(0.4)) this.#put([id, one.id, randomValue(one, this.#random), time]);
      else if (one['index?'] && !this.#triples.has(name)) this.#put([id, one.id, null, time]);
    }
  }

  #linkAny(): void {
    this.#link(this.#random.pick(SHELF_ATTRS.filter((one) => one['value-type'] === 'ref')));
  }

  #link(link: WireAttr): void {
    const source = this.#random.pick(this.#ids(link['forward-identity'][1]));
    const target = this.#random.pick(this.#ids(link['reverse-identity']![1]));
    const triple: Triple = [source, link.id, target, ++this.#time];
    if (this.#triples.has(keyOf(triple)) && this.#random.chance(0.5))
      this.#triples.delete(keyOf(triple));
    else this.#put(triple);
  }

  #delete(etype: string, id: string): void {
    for (const [key, [entity, attrId, value]] of this.#triples) {
      const found = SHELF_ATTRS.find((one) => one.id === attrId)!;
      const isOwn = entity === id && found['forward-identity'][1] === etype;
      if (isOwn || (value === id && found['reverse-identity']?.[1] === etype))
        this.#triples.delete(key);
    }
  }

  #put(triple: Triple): void {
    this.#triples.set(keyOf(triple), triple);
  }
}

function keyOf([entity, attrId, value]: Triple): string {
  const isMany = SHELF_ATTRS.find((one) => one.id === attrId)!.cardinality === 'many';
  return isMany ? `${entity} ${attrId} ${String(value)}` : `${entity} ${attrId}`;
}

function difference(before: Map<string, Triple>, after: Map<string, Triple>): Delta {
  const removed = [...before]
    .filter(([key]) => !after.has(key))
    .map(([, [e, a, v]]) => [e, a, v] as const);
  const added = [...after].filter(([key]) => !before.has(key)).map(([, triple]) => triple);
  const changed = [...after].filter(
    ([key, triple]) => before.has(key) && before.get(key) !== triple,
  );
  const isMany = ([, a]: Triple) => SHELF_ATTRS.find((one) => one.id === a)!.cardinality === 'many';
  return {
    removed,
    added,
    changed: changed.map(([, triple]) => triple).filter((triple) => !isMany(triple)),
  };
}

export function attr(etype: string, label: string): WireAttr {
  return SHELF_ATTRS.find(
    ({ 'forward-identity': [, on, name] }) => on === etype && name === label,
  )!;
}

export function fieldsOf(etype: string): WireAttr[] {
  return SHELF_ATTRS.filter(
    (one) =>
      one['value-type'] === 'blob' &&
      one['forward-identity'][1] === etype &&
      one['forward-identity'][2] !== 'id',
  );
}

export function randomValue(one: WireAttr, random: Random): unknown {
  if (random.chance(0.15)) return null;
  switch (one['checked-data-type']) {
    case 'string':
      return random.pick(['a', 'b', 'B', 'zebra', 'Ä', '10', '2', 'a_b', '']);
    case 'number':
      return random.pick([0, 1, 2.5, -3, 100]);
    case 'boolean':
      return random.chance(0.5);
    case 'date':
      return random.pick([
        '2025-01-01',
        '2025-01-01T00:00:00.000Z',
        '2024-06-30T12:00:00Z',
        1735689600000,
      ]);
    default:
      return random.pick([1, '1', true, { a: 1 }, ['x'], 'text']);
  }
}

const LINKS: Record<string, [label: string, etype: string][]> = {
  books: [
    ['author', 'people'],
    ['editor', 'people'],
    ['tags', 'tags'],
  ],
  people: [
    ['books', 'books'],
    ['edited', 'books'],
  ],
  tags: [['books', 'books']],
};

/** A query that the server would accept. */
export function randomQuery(random: Random): Record<string, unknown> {
  const tops = random.chance(0.2) ? 2 : 1;
  const query: Record<string, unknown> = {};
  for (let index = 0; index < tops; index++) {
    const etype = random.pick(NAMESPACES);
    query[etype] = randomForm(etype, random, 0);
  }
  return query;
}

function randomForm(etype: string, random: Random, depth: number): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  if (random.chance(0.6)) options.where = randomWhere(etype, random, 0);
  if (random.chance(0.4)) {
    const sortable = fieldsOf(etype).filter((one) => one['index?'] && one['checked-data-type']);
    const label =
      random.chance(0.3) || sortable.length === 0
        ? 'serverCreatedAt'
        : random.pick(sortable)['forward-identity'][2];
    options.order = { [label]: random.pick(['asc', 'desc']) };
  }
  if (depth === 0 && random.chance(0.3))
    options[random.pick(['limit', 'last'])] = 1 + random.below(4);
  if (random.chance(0.15))
    options.fields = fieldsOf(etype)
      .slice(0, 2)
      .map((one) => one['forward-identity'][2]);
  const form: Record<string, unknown> = Object.keys(options).length > 0 ? { $: options } : {};
  for (const [label, target] of LINKS[etype]!) {
    if (depth < 3 && random.chance(0.4)) form[label] = randomForm(target, random, depth + 1);
  }
  return form;
}

function randomWhere(etype: string, random: Random, depth: number): Record<string, unknown> {
  const where: Record<string, unknown> = {};
  const count = 1 + random.below(2);
  for (let index = 0; index < count; index++) {
    if (depth < 2 && random.chance(0.2))
      where[random.pick(['and', 'or'])] = [
        randomWhere(etype, random, depth + 1),
        randomWhere(etype, random, depth + 1),
      ];
    else Object.assign(where, randomCondition(etype, random, ''));
  }
  return where;
}

function randomCondition(etype: string, random: Random, path: string): Record<string, unknown> {
  if (random.chance(0.4) && path.split('.').length < 4) {
    const [label, target] = random.pick(LINKS[etype]!);
    if (random.chance(0.15)) return { [path + label]: { $isNull: random.chance(0.5) } };
    return randomCondition(target, random, `${path}${label}.`);
  }
  const one = random.pick(fieldsOf(etype));
  return { [path + one['forward-identity'][2]]: randomOperator(one, random) };
}

function randomOperator(one: WireAttr, random: Random): unknown {
  const value = (): unknown => {
    const found = randomValue(one, random);
    return found === null || typeof found === 'object' ? value() : found;
  };
  const isComparable = one['index?'] && one['checked-data-type'];
  const roll = random.next();
  if (roll < 0.3) return value();
  if (roll < 0.45) return { $not: value() };
  if (roll < 0.6) return { $in: [value(), value()] };
  if (roll < 0.75 || !isComparable) return { $isNull: random.chance(0.5) };
  if (one['checked-data-type'] === 'string' && random.chance(0.5))
    return { $like: random.pick(['%a%', 'b_', '%', '_']) };
  return { [random.pick(['$gt', '$gte', '$lt', '$lte'])]: value() };
}

function schemaOf(attrs: readonly WireAttr[]): SchemaShape {
  const entities: Record<
    string,
    { attrs: Record<string, SchemaShape['entities'][string]['attrs'][string]> }
  > = {};
  const links: Record<string, SchemaShape['links'][string]> = {};
  for (const one of attrs) {
    const [, etype, label] = one['forward-identity'];
    const reverse = one['reverse-identity'];
    entities[etype] ??= { attrs: {} };
    if (reverse)
      links[`${etype}.${label}`] = {
        forward: { on: etype, label, has: one.cardinality },
        reverse: { on: reverse[1], label: reverse[2], has: one['unique?'] ? 'one' : 'many' },
      };
    else if (label !== 'id')
      entities[etype].attrs[label] = {
        valueType: one['checked-data-type'] ?? 'json',
        config: { indexed: one['index?'], unique: one['unique?'] },
      };
  }
  return { entities, links };
}

/** Ids of which a simulation makes its entities: few, so that writes meet. */
const IDS = Array.from({ length: 8 }, (_, index) => `e0000000-0000-4000-8000-00000000000${index}`);

/** A transaction of one to three chunks, now and then one that the server refuses. */
export function randomWrite(random: Random, tx: TxBuilder): TransactionChunk[] {
  const count = 1 + random.below(3);
  return Array.from({ length: count }, () => randomChunk(random, tx));
}

function randomChunk(random: Random, tx: TxBuilder): TransactionChunk {
  const etype = random.pick(NAMESPACES);
  const chunk = tx[etype]![random.pick(IDS)]!;
  const roll = random.next();
  if (roll < 0.12) return chunk.delete();
  if (roll < 0.4) {
    const [label] = random.pick(LINKS[etype]!);
    return random.chance(0.7)
      ? chunk.link({ [label]: random.pick(IDS) })
      : chunk.unlink({ [label]: random.pick(IDS) });
  }
  const unique = (one: WireAttr) => one['unique?'];
  const fields = fieldsOf(etype).filter((one) => !unique(one) && random.chance(0.3));
  const args = Object.fromEntries(
    fields.map((one) => [one['forward-identity'][2], randomValue(one, random)]),
  );
  if (roll < 0.5) return chunk.create(args);
  if (roll < 0.65) {
    const numbers = fieldsOf(etype).filter((one) => one['checked-data-type'] === 'number');
    const one = random.pick(random.chance(0.9) && numbers.length > 0 ? numbers : fieldsOf(etype));
    return chunk.increment({ [one['forward-identity'][2]]: random.pick([1, -2, 0.5]) });
  }
  if (roll < 0.7 && etype === 'books') return chunk.update({ title: 'forbidden' });
  return chunk.update(args, random.chance(0.2) ? { upsert: false } : undefined);
}
