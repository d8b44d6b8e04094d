/** The id of an attr: a UUID. */
export type AttrId = string;

/** The types that the server enforces for values of a field. */
export type CheckedType = 'string' | 'number' | 'boolean' | 'date';

/** An attr as the server sends it, and as a step `add-attr` has it (instant-realtime §4). */
export interface WireAttr {
  readonly id: AttrId;
  readonly 'forward-identity': readonly [id: string, etype: string, label: string];
  readonly 'reverse-identity'?: readonly [id: string, etype: string, label: string];
  readonly 'value-type': 'blob' | 'ref';
  readonly cardinality: 'one' | 'many';
  readonly 'unique?': boolean;
  readonly 'index?': boolean;
  readonly 'required?'?: boolean;
  readonly 'checked-data-type'?: CheckedType;
  readonly 'on-delete'?: 'cascade';
  readonly 'on-delete-reverse'?: 'cascade';
  /** Invented by a client and not yet known to the server. */
  readonly isUnsynced?: boolean;
}

/** One field or link of the catalog. */
export interface Attr {
  readonly id: AttrId;
  readonly etype: string;
  readonly label: string;
  readonly isLink: boolean;
  /** A link to at most one entity, or a field. */
  readonly isOne: boolean;
  /** Of a field: no two entities share a value. Of a link: a target has at most one source. */
  readonly isUnique: boolean;
  readonly isIndexed: boolean;
  readonly isRequired: boolean;
  readonly checkedType: CheckedType | null;
  /** Of a link: its name seen from the other end. */
  readonly reverse: { readonly etype: string; readonly label: string } | null;
  /** The source is deleted with its target. */
  readonly cascades: boolean;
  /** The target is deleted with its source. */
  readonly cascadesBack: boolean;
  readonly wire: WireAttr;
}

/** Reads an attr as it travels. */
export function attrOf(wire: WireAttr): Attr {
  const [, etype, label] = wire['forward-identity'];
  const reverse = wire['reverse-identity'];
  return {
    id: wire.id,
    etype,
    label,
    isLink: wire['value-type'] === 'ref',
    isOne: wire.cardinality === 'one',
    isUnique: wire['unique?'],
    isIndexed: wire['index?'],
    isRequired: wire['required?'] ?? false,
    checkedType: wire['checked-data-type'] ?? null,
    reverse: reverse ? { etype: reverse[1], label: reverse[2] } : null,
    cascades: wire['on-delete'] === 'cascade',
    cascadesBack: wire['on-delete-reverse'] === 'cascade',
    wire,
  };
}
