import type { Named } from './catalog.ts';

/** The plain form of a schema, as `i.schema` makes it. */
export interface SchemaShape {
  readonly entities: Readonly<Record<string, EntityShape>>;
  readonly links: Readonly<Record<string, LinkShape>>;
}

export interface EntityShape {
  readonly attrs: Readonly<Record<string, FieldShape>>;
}

export interface FieldShape {
  readonly valueType: string;
  readonly required?: boolean;
  readonly config: { readonly indexed: boolean; readonly unique: boolean };
}

export interface LinkShape {
  readonly forward: EndShape;
  readonly reverse: EndShape;
}

export interface EndShape {
  readonly on: string;
  readonly label: string;
  readonly has: 'one' | 'many';
  readonly onDelete?: 'cascade';
  readonly required?: boolean;
}

/**
 * Which links are answered as objects: those that the schema says lead to one. Without a schema
 * every link is a list, as in the original's client.
 */
export function hasOneOf(schema: SchemaShape | undefined): (link: Named) => boolean {
  const ones = new Set<string>();
  for (const { forward, reverse } of Object.values(schema?.links ?? {}))
    for (const { on, label, has } of [forward, reverse])
      if (has === 'one') ones.add(`${on} ${label}`);
  return ({ attr, isForward }) => {
    const { etype, label } = isForward ? attr : attr.reverse!;
    return ones.has(`${etype} ${label}`);
  };
}
