import { TriceError } from '../errors.ts';
import type { SchemaShape } from '../schema/shape.ts';
import type { ApiAttr, Ident } from './api-schema.ts';
import { check } from './check.ts';
import type { ApiStep, JobType } from './steps.ts';
import {
  type End,
  keyOf,
  type Known,
  knownOf,
  nameOf,
  namesOf,
  type Wanted,
  wantedOf,
} from './wanted.ts';

/** `posts.name:posts.title`: what has the first name gets the second. */
export type Rename = `${string}.${string}:${string}.${string}`;

/**
 * The steps that make a server's attrs into exactly those of a schema: what it does not have is
 * deleted. Attrs of the system stay as they are. No I/O.
 *
 * current  all attrs of the app; id  makes ids for new ones
 * returns  changes of attrs: namespaces that go, those that come, those that stay, then links
 * raises   TriceError `schema-malformed`, `rename-malformed`
 */
export function diff(
  current: readonly ApiAttr[],
  schema: SchemaShape,
  renames: readonly string[],
  id: () => string,
): ApiStep[] {
  const system = new Set(current.filter(({ catalog }) => catalog === 'system').flatMap(namesOf));
  const isOwn = (one: Wanted) => !system.has(nameOf(one));
  check(schema, system);
  const known = current.map((attr) => ({ ...knownOf(attr), attr })).filter(isOwn);
  const wanted = wantedOf(schema).filter(isOwn);
  const before = new Set(current.map((attr) => attr['forward-identity'][1]));
  const after = new Set(Object.keys(schema.entities));
  const differ = new Differ(parseRenames(renames), id);
  const part = (of: (etype: string) => boolean, isLink: boolean) =>
    differ.steps(
      known.filter((one) => of(one.etype) && (one.reverse !== null) === isLink),
      wanted.filter((one) => of(one.etype) && (one.reverse !== null) === isLink),
    );
  return [
    ...part((etype) => !after.has(etype), false),
    ...part((etype) => !before.has(etype), false),
    ...part((etype) => before.has(etype) && after.has(etype), false),
    ...part(() => true, true),
  ];
}

class Differ {
  /** New name → old name. */
  readonly #renames: ReadonlyMap<string, string>;
  readonly #id: () => string;

  constructor(renames: ReadonlyMap<string, string>, id: () => string) {
    this.#renames = renames;
    this.#id = id;
  }

  steps(known: readonly Known[], wanted: readonly Wanted[]): ApiStep[] {
    const isKnown = new Set(known.map(keyOf));
    const isWanted = new Set(wanted.map(keyOf));
    const gone = new Map(
      known.filter((one) => !isWanted.has(keyOf(one))).map((one) => [one, true]),
    );
    const renamed: [Known, Wanted][] = [];
    const added: Wanted[] = [];
    for (const one of wanted.filter((each) => !isKnown.has(keyOf(each)))) {
      const from = this.#renamedFrom(one, [...gone.keys()]);
      if (from) {
        gone.delete(from);
        renamed.push([from, one]);
      } else added.push(one);
    }
    const byKey = new Map(wanted.map((one) => [keyOf(one), one]));
    return [
      ...known.flatMap((one) => changes(one, byKey.get(keyOf(one)) ?? one)),
      ...[...gone.keys()].map(({ attr }): ApiStep => ['delete-attr', attr.id]),
      ...added.flatMap((one) => addition(one, this.#id)),
      ...renamed.flatMap(([from, to]) => [rename(from, to), ...changes(from, to)]),
    ];
  }

  #renamedFrom(wanted: Wanted, gone: readonly Known[]): Known | undefined {
    const names = [wanted, wanted.reverse].filter((end) => end !== null).map(nameOf);
    const from = names.map((name) => this.#renames.get(name)).find((name) => name !== undefined);
    if (from === undefined) return undefined;
    return gone.find(
      (one) =>
        one.etype === wanted.etype &&
        one.reverse?.etype === wanted.reverse?.etype &&
        [one, one.reverse].some((end) => end !== null && nameOf(end) === from),
    );
  }
}

/** Jobs that make one attr into another, and the change that needs none. */
function changes(from: Known, to: Wanted): ApiStep[] {
  // The id of a namespace is the server's.
  if (from.label === 'id' && from.reverse === null) return [];
  const ident = { 'attr-id': from.attr.id, 'forward-identity': from.attr['forward-identity'] };
  const steps: ApiStep[] = [];
  const turn = (was: boolean, is: boolean, type: 'index' | 'unique' | 'required') => {
    if (was !== is) steps.push([is ? type : `remove-${type}`, ident] as [JobType, typeof ident]);
  };
  // Links are always found from both ends: a schema does not say it.
  if (from.reverse === null) turn(from.isIndexed, to.isIndexed, 'index');
  turn(from.isUnique, to.isUnique, 'unique');
  turn(from.isRequired, to.isRequired, 'required');
  if (from.checkedType !== to.checkedType)
    steps.push(
      to.checkedType === null
        ? ['remove-data-type', ident]
        : ['check-data-type', { ...ident, 'checked-data-type': to.checkedType }],
    );
  const isSame =
    from.cardinality === to.cardinality &&
    from.onDelete === to.onDelete &&
    from.onDeleteReverse === to.onDeleteReverse;
  if (!isSame)
    steps.push(['update-attr', { id: from.attr.id, cardinality: to.cardinality, ...cascades(to) }]);
  return steps;
}

function rename({ attr }: Known, to: Wanted): ApiStep {
  const ident = ({ etype, label }: End): Ident => [attr.id, etype, label];
  const names = {
    'forward-identity': ident(to),
    ...(to.reverse ? { 'reverse-identity': ident(to.reverse) } : {}),
  };
  // Cascades that are not named end (instant-http §4.7).
  return ['update-attr', { id: attr.id, ...names, cardinality: to.cardinality, ...cascades(to) }];
}

function cascades({ onDelete, onDeleteReverse }: Wanted): Partial<ApiAttr> {
  return {
    ...(onDelete ? { 'on-delete': onDelete } : {}),
    ...(onDeleteReverse ? { 'on-delete-reverse': onDeleteReverse } : {}),
  };
}

function addition(wanted: Wanted, id: () => string): ApiStep[] {
  const attrId = id();
  const ident: Ident = [attrId, wanted.etype, wanted.label];
  const { reverse } = wanted;
  const attr: ApiAttr = {
    id: attrId,
    'forward-identity': ident,
    'reverse-identity': reverse ? [id(), reverse.etype, reverse.label] : null,
    'value-type': reverse ? 'ref' : 'blob',
    cardinality: wanted.cardinality,
    'index?': false,
    'unique?': false,
    'required?': false,
    'checked-data-type': wanted.checkedType,
    'inferred-types': null,
    catalog: 'user',
    ...cascades(wanted),
  };
  const params = { 'attr-id': attrId, 'forward-identity': ident };
  const jobs: [boolean, JobType][] = [
    [wanted.isUnique, 'unique'],
    [wanted.isRequired, 'required'],
    [wanted.isIndexed, 'index'],
  ];
  const due = jobs.filter(([isWanted]) => isWanted);
  return [['add-attr', attr], ...due.map(([, type]): ApiStep => [type, params])];
}

function parseRenames(renames: readonly string[]): Map<string, string> {
  const pairs = renames.map((text): [string, string] => {
    const [from, to, ...more] = text.split(':').map((name) => name.trim());
    const isName = (name: string | undefined) => /^[^.]+\.[^.]+$/.test(name ?? '');
    if (isName(from) && isName(to) && more.length === 0) return [to!, from!];
    const message = `A rename looks like 'posts.name:posts.title', not like '${text}'.`;
    throw new TriceError({ code: 'rename-malformed', message, hint: { input: text } });
  });
  return new Map(pairs);
}
