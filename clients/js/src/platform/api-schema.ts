import type { CheckedType, WireAttr } from '../schema/attr.ts';
import type { EndShape, FieldShape, LinkShape, SchemaShape } from '../schema/shape.ts';

/** The name of an attr, or of its way back: `[id, namespace, label]`. */
export type Ident = WireAttr['forward-identity'];

type Nullable = 'reverse-identity' | 'checked-data-type' | 'on-delete' | 'on-delete-reverse';

/** An attr as the routes of schemas tell it (instant-http §4.4). */
export interface ApiAttr extends Omit<WireAttr, Nullable | 'isUnsynced'> {
  readonly 'reverse-identity'?: Ident | null;
  readonly 'checked-data-type'?: CheckedType | null;
  readonly 'on-delete'?: 'cascade' | null;
  readonly 'on-delete-reverse'?: 'cascade' | null;
  /** Kinds of values seen so far, where none is enforced. */
  readonly 'inferred-types'?: readonly string[] | null;
  readonly catalog?: 'user' | 'system';
}

/** Fields by namespace and label; links under any key. */
export interface ApiSchema {
  readonly blobs: Readonly<Record<string, Readonly<Record<string, ApiAttr>>>>;
  readonly refs: Readonly<Record<string, ApiAttr>>;
}

/** All its attrs, in the order of their names. */
export function attrsOf({ blobs, refs }: ApiSchema): ApiAttr[] {
  const fields = sorted(blobs).flatMap(([, attrs]) => Object.values(attrs));
  return [...fields, ...sorted(refs).map(([, attr]) => attr)];
}

/** The schema as `i.schema` would make it. */
export function schemaOf({ blobs, refs }: ApiSchema): SchemaShape {
  const entities = sorted(blobs).map(([etype, attrs]) => {
    const fields = sorted(attrs).filter(([label]) => label !== 'id');
    const shown = fields.map(([label, attr]) => [label, fieldOf(attr)]);
    return [etype, { attrs: Object.fromEntries(shown) as Record<string, FieldShape> }];
  });
  const links = sorted(refs).map(([, attr]) => [linkName(attr), linkOf(attr)]);
  return {
    entities: Object.fromEntries(entities) as SchemaShape['entities'],
    links: Object.fromEntries(links) as SchemaShape['links'],
  };
}

function fieldOf(attr: ApiAttr): FieldShape {
  return {
    valueType: attr['checked-data-type'] ?? 'json',
    required: attr['required?'] ?? false,
    config: { indexed: attr['index?'], unique: attr['unique?'] },
  };
}

/** `posts` and `author` make `postsAuthor`. */
function linkName({ 'forward-identity': [, etype, label] }: ApiAttr): string {
  return etype + label.charAt(0).toUpperCase() + label.slice(1);
}

function linkOf(attr: ApiAttr): LinkShape {
  const [, etype, label] = attr['forward-identity'];
  const [, reverseEtype, reverseLabel] = attr['reverse-identity']!;
  const cascade = (rule: string | null | undefined) =>
    rule === 'cascade' ? { onDelete: 'cascade' as const } : {};
  const forward: EndShape = {
    ...{ on: etype, label, has: attr.cardinality },
    ...(attr['required?'] ? { required: true } : {}),
    ...cascade(attr['on-delete']),
  };
  const reverse: EndShape = {
    ...{ on: reverseEtype, label: reverseLabel, has: attr['unique?'] ? 'one' : 'many' },
    ...cascade(attr['on-delete-reverse']),
  };
  return { forward, reverse };
}

function sorted<T>(by: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(by).sort(([one], [other]) => (one < other ? -1 : 1));
}
