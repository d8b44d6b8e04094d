import { madeIn, newMap } from '../values/made.ts';
import { type Attr, type AttrId, attrOf, type WireAttr } from './attr.ts';

/** A name of a namespace: a field, or a link seen from one of its ends. */
export interface Named {
  readonly attr: Attr;
  /** False: the name is that of the link's other end. */
  readonly isForward: boolean;
}

/**
 * What the data of an app looks like: its attrs, by id and by name. Never changes; `with` makes
 * another.
 */
export class Catalog {
  static readonly empty: Catalog = new Catalog([]);

  readonly attrs: readonly Attr[];
  readonly #byId = new Map<AttrId, Attr>();
  readonly #names = new Map<string, Map<string, Named>>();

  private constructor(attrs: readonly Attr[]) {
    this.attrs = attrs;
    for (const attr of attrs) {
      this.#byId.set(attr.id, attr);
      this.#name(attr.etype, attr.label, { attr, isForward: true });
      if (attr.reverse)
        this.#name(attr.reverse.etype, attr.reverse.label, { attr, isForward: false });
    }
  }

  /** The catalog of these attrs, as `init-ok` and `refresh-ok` have them. */
  static of(wire: readonly WireAttr[]): Catalog {
    return new Catalog(wire.map(attrOf));
  }

  /** This catalog and more attrs, those that a client invents. */
  with(wire: readonly WireAttr[]): Catalog {
    return wire.length === 0 ? this : new Catalog([...this.attrs, ...wire.map(attrOf)]);
  }

  get(id: AttrId): Attr | undefined {
    return this.#byId.get(id);
  }

  /** What `label` names in namespace `etype`. */
  find(etype: string, label: string): Named | undefined {
    return this.#names.get(etype)?.get(label);
  }

  /** Whether any attr names this namespace. */
  has(etype: string): boolean {
    return this.#names.has(etype);
  }

  /** All names of a namespace, links seen from their other end included. */
  names(etype: string): ReadonlyMap<string, Named> {
    return this.#names.get(etype) ?? NO_NAMES;
  }

  #name(etype: string, label: string, named: Named): void {
    const names = madeIn(this.#names, etype, newMap<string, Named>);
    // A field wins over a link's reverse name, as on the server.
    if (named.isForward || !names.has(label)) names.set(label, named);
  }
}

const NO_NAMES: ReadonlyMap<string, Named> = new Map();

/** The namespace to which a link leads from the end at which it has this name. */
export function otherEnd(named: Named): string {
  return named.isForward ? (named.attr.reverse?.etype ?? '') : named.attr.etype;
}
