import type { CheckedType } from '../schema/attr.ts';
import type { SchemaShape } from '../schema/shape.ts';
import type { ApiAttr, Ident } from './api-schema.ts';

export interface End {
  readonly etype: string;
  readonly label: string;
}

/** An attr as a schema wants it, and what an attr of the server is compared by. */
export interface Wanted extends End {
  /** Of a link: its name seen from the other end. */
  readonly reverse: End | null;
  readonly cardinality: 'one' | 'many';
  readonly isUnique: boolean;
  readonly isIndexed: boolean;
  readonly isRequired: boolean;
  readonly checkedType: CheckedType | null;
  readonly onDelete: 'cascade' | null;
  readonly onDeleteReverse: 'cascade' | null;
}

export interface Known extends Wanted {
  readonly attr: ApiAttr;
}

const CHECKED = new Set(['string', 'number', 'boolean', 'date']);

export function knownOf(attr: ApiAttr): Wanted {
  const end = ([, etype, label]: Ident): End => ({ etype, label });
  const reverse = attr['reverse-identity'];
  return {
    ...end(attr['forward-identity']),
    reverse: attr['value-type'] === 'ref' && reverse ? end(reverse) : null,
    cardinality: attr.cardinality,
    isUnique: attr['unique?'],
    isIndexed: attr['index?'],
    isRequired: attr['required?'] ?? false,
    checkedType: attr['checked-data-type'] ?? null,
    onDelete: attr['on-delete'] === 'cascade' ? 'cascade' : null,
    onDeleteReverse: attr['on-delete-reverse'] === 'cascade' ? 'cascade' : null,
  };
}

const PLAIN = {
  reverse: null,
  cardinality: 'one',
  checkedType: null,
  onDelete: null,
  onDeleteReverse: null,
} as const;

export function wantedOf({ entities, links }: SchemaShape): Wanted[] {
  const fields = Object.entries(entities).flatMap(([etype, { attrs }]) => [
    { ...PLAIN, etype, label: 'id', isUnique: true, isIndexed: false, isRequired: true },
    ...Object.entries(attrs).map(([label, { valueType, required, config }]) => ({
      ...PLAIN,
      ...{ etype, label, isUnique: config.unique, isIndexed: config.indexed },
      isRequired: required ?? false,
      checkedType: CHECKED.has(valueType) ? (valueType as CheckedType) : null,
    })),
  ]);
  const pairs = Object.values(links).map(({ forward, reverse }) => ({
    ...{ etype: forward.on, label: forward.label, cardinality: forward.has },
    reverse: { etype: reverse.on, label: reverse.label },
    ...{ isUnique: reverse.has === 'one', isIndexed: false, isRequired: forward.required ?? false },
    checkedType: null,
    ...{ onDelete: forward.onDelete ?? null, onDeleteReverse: reverse.onDelete ?? null },
  }));
  return [...fields, ...pairs];
}

export function namesOf(attr: ApiAttr): string[] {
  const idents = [attr['forward-identity'], attr['reverse-identity']];
  return idents.filter((ident) => !!ident).map(([, etype, label]) => `${etype}.${label}`);
}

export function nameOf({ etype, label }: End): string {
  return `${etype}.${label}`;
}

/** Attrs with the same key are one attr, changed. */
export function keyOf(one: Wanted): string {
  return one.reverse ? `${nameOf(one)} ${nameOf(one.reverse)}` : nameOf(one);
}
