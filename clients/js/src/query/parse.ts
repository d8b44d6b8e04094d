import { type Catalog, type Named, otherEnd } from '../schema/catalog.ts';
import { isObject } from '../values/json.ts';
import { holdsForMissing, isNull, type Operation, operationsOf, testOf } from './conditions.ts';
import type {
  Alternative,
  Bound,
  Condition,
  Cursor,
  Form,
  Group,
  Order,
  Page,
  QueryJson,
  Step,
  Test,
} from './form.ts';

const NO_ORDER: Order = { attr: null, isDescending: false };
const PAGING = ['limit', 'first', 'last', 'offset', 'after', 'before'] as const;

/** Whether a link, seen from one of its ends, is answered as an object and not as a list. */
export type HasOne = (link: Named) => boolean;

/**
 * Checks the top forms of a query against a catalog. No I/O.
 *
 * It refuses nothing: what the server refuses finds nothing here, and the server says why. Forms
 * stay as they are until the catalog changes a name in them.
 */
export function parse(query: QueryJson, catalog: Catalog, hasOne: HasOne): Form[] {
  const seen = new Map<string, number>();
  const forms = Object.entries(query)
    .filter(([label]) => label !== '$$ruleParams')
    .map(([label, body]) => new Parser(catalog, seen, hasOne).form(label, body, label, null));
  return forms.map((form) => ({ ...form, isRepeated: (seen.get(form.etype) ?? 0) > 1 }));
}

/** An unknown name in a `where` makes its form find nothing. */
class UnknownName extends Error {}

class Parser {
  readonly #catalog: Catalog;
  readonly #seen: Map<string, number>;
  readonly #hasOne: HasOne;

  constructor(catalog: Catalog, seen: Map<string, number>, hasOne: HasOne) {
    this.#catalog = catalog;
    this.#seen = seen;
    this.#hasOne = hasOne;
  }

  form(label: string, body: unknown, etype: string, link: Named | null): Form {
    this.#see(etype);
    const entries = isObject(body) ? Object.entries(body) : [];
    const options = optionsOf(entries.find(([key]) => key === '$')?.[1]);
    const children = entries
      .filter(([key]) => key !== '$')
      .map(([key, child]) => this.#child(etype, key, child));
    return {
      label,
      etype,
      link,
      isOne: link !== null && this.#hasOne(link),
      ...this.#where(etype, options.where),
      order: this.#order(etype, options.order),
      page: pageOf(options),
      fields: Array.isArray(options.fields) ? new Set(options.fields as string[]) : null,
      isTotal: options.aggregate !== undefined,
      children,
      isRepeated: false,
    };
  }

  #child(etype: string, label: string, body: unknown): Form {
    const named = this.#catalog.find(etype, label);
    if (named?.attr.isLink) return this.form(label, body, otherEnd(named), named);
    // Parents stay, each with an empty list (Q3).
    return { ...this.form(label, {}, '', null), isEmpty: true };
  }

  #see(etype: string): void {
    this.#seen.set(etype, (this.#seen.get(etype) ?? 0) + 1);
  }

  #order(etype: string, order: unknown): Order {
    if (!isObject(order)) return NO_ORDER;
    const [label, direction] = Object.entries(order)[0] ?? [];
    if (label === undefined) return NO_ORDER;
    const attr =
      label === 'serverCreatedAt' ? null : (this.#catalog.find(etype, label)?.attr ?? null);
    return { attr, isDescending: direction === 'desc' };
  }

  #where(etype: string, where: unknown): Pick<Form, 'where' | 'isEmpty' | 'paths'> {
    if (!this.#catalog.has(etype)) return { where: null, isEmpty: true, paths: [] };
    if (where === undefined) return { where: null, isEmpty: false, paths: [] };
    try {
      const paths: Named[][] = [];
      return { where: this.#group(etype, where, paths), isEmpty: false, paths };
    } catch (error) {
      if (error instanceof UnknownName) return { where: null, isEmpty: true, paths: [] };
      throw error;
    }
  }

  #group(etype: string, where: unknown, paths: Named[][]): Group {
    if (!isObject(where)) throw new UnknownName();
    const own: Test[] = [];
    const linked: Condition[] = [];
    const all: Group[] = [];
    const some: Group[][] = [];
    for (const [path, condition] of Object.entries(where)) {
      if (path === 'and' && Array.isArray(condition))
        all.push(...condition.map((element) => this.#group(etype, element, paths)));
      else if (path === 'or' && Array.isArray(condition))
        some.push(condition.map((element) => this.#group(etype, element, paths)));
      else if (path === '$entityIdStartsWith') own.push(startsWith(condition));
      else
        for (const operation of operationsOf(condition)) {
          const found = this.#condition(etype, path, operation, paths);
          if (found.alternatives.every(({ steps }) => steps.length === 0))
            own.push((at) => found.alternatives.some(({ test }) => test(at)));
          else linked.push(found);
        }
    }
    return { own, linked: parts(linked), all, some };
  }

  #condition(etype: string, path: string, operation: Operation, paths: Named[][]): Condition {
    const { steps, names } = this.#path(etype, path);
    const last = names.at(-1)!;
    paths.push(names);
    const test = testOf(last, operation);
    if (test === undefined) throw new UnknownName();
    const alternatives: Alternative[] = [];
    if (operation.op !== '$isNull' || operation.operand !== true)
      alternatives.push({ steps, test });
    if (holdsForMissing(operation))
      names.forEach((named, place) =>
        alternatives.push({ steps: steps.slice(0, place), test: isNull(named) }),
      );
    return { alternatives };
  }

  /** The links of a dotted path, and each name on it as a value. */
  #path(etype: string, path: string): { steps: Step[]; names: Named[] } {
    const labels = path.split('.');
    const steps: Step[] = [];
    const names: Named[] = [];
    let here = etype;
    labels.forEach((label, place) => {
      const named = this.#catalog.find(here, label);
      const isLast = place === labels.length - 1;
      if (named === undefined || (!isLast && !named.attr.isLink)) throw new UnknownName();
      names.push(named);
      if (isLast) return;
      here = otherEnd(named);
      this.#see(here);
      steps.push({ link: named, etype: here, slot: `${place} ${here}` });
    });
    return { steps, names };
  }
}

/** `null` and `false` are the same as no option (Q9). */
function optionsOf(options: unknown): Record<string, unknown> {
  if (!isObject(options)) return {};
  const given = Object.entries(options).filter(([, value]) => value !== null && value !== false);
  return Object.fromEntries(given);
}

function pageOf(options: Record<string, unknown>): Page | null {
  if (!PAGING.some((name) => options[name] !== undefined)) return null;
  const isLeading = !options.offset && options.after === undefined && options.before === undefined;
  const first = options.limit ?? options.first;
  return {
    first: typeof first === 'number' ? first : null,
    last: typeof options.last === 'number' ? options.last : null,
    isLeading,
    hasOffset: Boolean(options.offset),
    after: boundOf(options.after, options.afterInclusive),
    before: boundOf(options.before, options.beforeInclusive),
  };
}

function boundOf(cursor: unknown, isInclusive: unknown): Bound | null {
  return Array.isArray(cursor)
    ? { cursor: cursor as unknown as Cursor, isInclusive: isInclusive === true }
    : null;
}

function startsWith(prefix: unknown): Test {
  if (typeof prefix !== 'string') throw new UnknownName();
  return (at) => at.id.startsWith(prefix.toLowerCase());
}

/**
 * Splits conditions into parts that share no linked entity. Solving each part alone keeps the
 * search from trying every combination of entities that have nothing to do with each other.
 */
function parts(conditions: readonly Condition[]): Condition[][] {
  let found: { slots: Set<string>; members: Condition[] }[] = [];
  for (const condition of conditions) {
    const slots = new Set(
      condition.alternatives.flatMap(({ steps }) => steps.map(({ slot }) => slot)),
    );
    const members = [condition];
    const apart: typeof found = [];
    for (const part of found) {
      if (![...part.slots].some((slot) => slots.has(slot))) apart.push(part);
      else {
        part.slots.forEach((slot) => slots.add(slot));
        members.unshift(...part.members);
      }
    }
    found = [...apart, { slots, members }];
  }
  return found.map(({ members }) => members);
}
