import { failure } from '../errors.ts';
import type { Inventor } from '../pending/compile.ts';
import type { CheckedType, WireAttr } from './attr.ts';
import type { EndShape, LinkShape, SchemaShape } from './shape.ts';

const CHECKED = new Set(['string', 'number', 'boolean', 'date']);

/**
 * Invents the attrs that the server does not know yet (instant-realtime §6.4): by the schema, or
 * without one as plain fields and links to many.
 */
export function inventorOf(id: () => string, schema: SchemaShape | undefined): Inventor {
  return {
    field: (etype, label, isLookup) => ({
      id: id(),
      'forward-identity': [id(), etype, label],
      'value-type': 'blob',
      cardinality: 'one',
      ...fieldOf(etype, label, isLookup, schema),
      isUnsynced: true,
    }),
    link: (etype, label) => {
      const { forward, reverse } = linkOf(etype, label, schema);
      return {
        id: id(),
        'forward-identity': [id(), forward.on, forward.label],
        'reverse-identity': [id(), reverse.on, reverse.label],
        'value-type': 'ref',
        cardinality: forward.has,
        'unique?': reverse.has === 'one',
        'index?': false,
        ...(forward.onDelete ? { 'on-delete': forward.onDelete } : {}),
        ...(reverse.onDelete ? { 'on-delete-reverse': reverse.onDelete } : {}),
        isUnsynced: true,
      };
    },
  };
}

type FieldFlags = Pick<WireAttr, 'unique?' | 'index?' | 'checked-data-type'>;

function fieldOf(
  etype: string,
  label: string,
  isLookup: boolean,
  schema: SchemaShape | undefined,
): FieldFlags {
  if (schema === undefined || label === 'id' || etype.startsWith('$'))
    return { 'unique?': isLookup, 'index?': isLookup && label !== 'id' };
  const field = schema.entities[etype]?.attrs[label];
  if (field === undefined)
    throw failure('unknown-name', {
      etype,
      label,
      known: Object.keys(schema.entities[etype]?.attrs ?? {}),
    });
  const { indexed, unique } = field.config;
  return {
    'unique?': unique,
    'index?': indexed,
    ...(CHECKED.has(field.valueType)
      ? { 'checked-data-type': field.valueType as CheckedType }
      : {}),
  };
}

function linkOf(etype: string, label: string, schema: SchemaShape | undefined): LinkShape {
  if (schema === undefined) {
    // The namespace at the other end is taken to have the name of the link.
    return {
      forward: { on: etype, label, has: 'many' },
      reverse: { on: label, label: etype, has: 'many' },
    };
  }
  const links = Object.values(schema.links);
  const isEnd = ({ on, label: name }: EndShape) => on === etype && name === label;
  const found = links.find(({ forward, reverse }) => isEnd(forward) || isEnd(reverse));
  if (found) return found;
  const ends = links.flatMap(({ forward, reverse }) => [forward, reverse]);
  const known = ends.filter(({ on }) => on === etype).map((end) => end.label);
  throw failure('unknown-name', { etype, label, known });
}
