import { type Catalog, type Named, otherEnd } from '../schema/catalog.ts';
import { isObject } from '../values/json.ts';
import { holdsForMissing, isNull, type Operation, operationsOf, testOf } from './conditions.ts';
import type { Alternative, Condition, Form, Group, Step, Test } from './form.ts';
import { holds } from './holds.ts';

/**
 * Reads the `where` of a form.
 *
 * see      called with the namespace of each entity on the way of a dotted path
 * returns  an unknown name makes the form find nothing
 */
export function readWhere(
  etype: string,
  where: unknown,
  catalog: Catalog,
  see: (etype: string) => void,
): Pick<Form, 'where' | 'isEmpty' | 'paths'> {
  try {
    const paths: Named[][] = [];
    const group = new Reader(catalog, see).group(etype, where, paths);
    return { where: (view, id) => holds(group, view, etype, id), isEmpty: false, paths };
  } catch (error) {
    if (error instanceof UnknownName) return { where: null, isEmpty: true, paths: [] };
    throw error;
  }
}

class UnknownName extends Error {}

class Reader {
  readonly #catalog: Catalog;
  readonly #see: (etype: string) => void;

  constructor(catalog: Catalog, see: (etype: string) => void) {
    this.#catalog = catalog;
    this.#see = see;
  }

  group(etype: string, where: unknown, paths: Named[][]): Group {
    if (!isObject(where)) throw new UnknownName();
    const own: Test[] = [];
    const linked: Condition[] = [];
    const all: Group[] = [];
    const some: Group[][] = [];
    for (const [path, condition] of Object.entries(where)) {
      if (path === 'and' && Array.isArray(condition))
        all.push(...condition.map((element) => this.group(etype, element, paths)));
      else if (path === 'or' && Array.isArray(condition))
        some.push(condition.map((element) => this.group(etype, element, paths)));
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
