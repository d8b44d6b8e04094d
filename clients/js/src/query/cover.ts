import { type Catalog, otherEnd } from '../schema/catalog.ts';
import { isEqual } from '../values/equal.ts';
import { isObject } from '../values/json.ts';
import type { QueryJson } from './form.ts';

/** Options of a form under which it does not hold all that matches, or not all of it. */
const PARTIAL = ['limit', 'first', 'last', 'offset', 'after', 'before', 'fields', 'aggregate'];

/** Of these, the one that an asked form may have: it shows less of each row. */
const SHOWS_LESS = 'fields';

/**
 * Whether the answer of `held` contains all of the answer of `asked`: the same forms, minus fields
 * or nesting, or with more conditions on fields of the entity itself. No I/O.
 */
export function covers(held: QueryJson, asked: QueryJson, catalog: Catalog): boolean {
  if (!isEqual(held.$$ruleParams, asked.$$ruleParams) || namesFields(held)) return false;
  return Object.keys(asked).every(
    (label) => label === '$$ruleParams' || coversForm(held[label], asked[label], label, catalog),
  );
}

/** Some form shows less of its entities: conditions of the others may meet such too. */
function namesFields(query: QueryJson): boolean {
  return Object.values(query).some(
    (form) => isObject(form) && (optionsOf(form.$).fields != null || namesFields(form)),
  );
}

function coversForm(held: unknown, asked: unknown, etype: string, catalog: Catalog): boolean {
  if (!isObject(held) || !isObject(asked)) return false;
  const { $: heldOptions, ...heldChildren } = held;
  const { $: askedOptions, ...askedChildren } = asked;
  const [has, wants] = [optionsOf(heldOptions), optionsOf(askedOptions)];
  if (PARTIAL.some((name) => has[name] != null)) return false;
  if (PARTIAL.some((name) => name !== SHOWS_LESS && wants[name] != null)) return false;
  if (!narrows(optionsOf(has.where), optionsOf(wants.where), etype, catalog)) return false;
  return Object.entries(askedChildren).every(([label, child]) => {
    const named = catalog.find(etype, label);
    if (!named?.attr.isLink) return false;
    return coversForm(heldChildren[label], child, otherEnd(named), catalog);
  });
}

/**
 * Whether `asked` has all conditions of `held` and maybe more, none of them behind a link: what is
 * there is not known of all.
 */
function narrows(
  held: Readonly<Record<string, unknown>>,
  asked: Readonly<Record<string, unknown>>,
  etype: string,
  catalog: Catalog,
): boolean {
  const isKept = Object.entries(held).every(
    ([path, condition]) => Object.hasOwn(asked, path) && isEqual(condition, asked[path]),
  );
  return (
    isKept &&
    Object.entries(asked).every(([path, condition]) => isOwn(path, condition, etype, catalog))
  );
}

function isOwn(path: string, condition: unknown, etype: string, catalog: Catalog): boolean {
  if ((path === 'and' || path === 'or') && Array.isArray(condition))
    return condition.every((element) =>
      Object.entries(optionsOf(element)).every(([name, one]) => isOwn(name, one, etype, catalog)),
    );
  if (path === '$entityIdStartsWith') return true;
  return catalog.find(etype, path)?.attr.isLink === false;
}

/** The namespace and id of a query that asks for one entity by its id, and for nothing linked. */
export function entityAsked(query: QueryJson): { etype: string; id: string } | undefined {
  const [[etype, form] = [], ...others] = Object.entries(query);
  if (etype === undefined || !isObject(form) || others.length > 0) return undefined;
  const { $: given, ...children } = form;
  const { where, fields: _, ...rest } = optionsOf(given);
  const { id, ...conditions } = optionsOf(where);
  const isPlain = [children, rest, conditions].every((one) => Object.keys(one).length === 0);
  return typeof id === 'string' && isPlain ? { etype, id } : undefined;
}

/**
 * Whether the rows of a query can be looked for among all that is known: it asks for no totals, and
 * for no page whose place only the server knows.
 */
export function isFindable(query: QueryJson): boolean {
  return Object.entries(query).every(([label, form]) => {
    if (label === '$$ruleParams') return true;
    const options = isObject(form) ? optionsOf(form.$) : {};
    return ['offset', 'after', 'before', 'aggregate'].every((name) => options[name] == null);
  });
}

function optionsOf(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {};
}
