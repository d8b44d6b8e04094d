import type { CheckedType } from '../schema/attr.ts';
import type { Named } from '../schema/catalog.ts';
import { instantUs } from '../values/dates.ts';
import { isEqual } from '../values/equal.ts';
import { isObject } from '../values/json.ts';
import { isLike } from '../values/like.ts';
import { compareCodePoints } from '../values/order.ts';
import type { Place, Test } from './form.ts';

/** One operator of a condition and its operand; a plain value is `$eq`. */
export interface Operation {
  readonly op: string;
  readonly operand: unknown;
}

/** The operators of a condition: all of them apply (Q40). */
export function operationsOf(condition: unknown): Operation[] {
  if (!isObject(condition)) return [{ op: '$eq', operand: condition }];
  return Object.entries(condition).map(([op, operand]) => ({ op, operand }));
}

/**
 * Whether the operation also holds where a link on the way, or the value, is missing (Q44, Q45).
 */
export function holdsForMissing({ op, operand }: Operation): boolean {
  return op === '$not' || op === '$ne' || (op === '$isNull' && operand === true);
}

/**
 * What is asked of an entity at the end of a path; undefined for an operator that does not exist.
 */
export function testOf(named: Named, { op, operand }: Operation): Test | undefined {
  if (op === '$isNull') {
    if (operand === true) return isNull(named);
    return (at) => at.values(named).some((value) => value !== null);
  }
  const check = valueCheck(named, op, operand);
  return check && ((at) => at.values(named).some(check));
}

/** Whether the value is null or was never set, or the link leads nowhere. */
export function isNull(named: Named): Test {
  return (at: Place) => at.values(named).every((value) => value === null);
}

type Check = (value: unknown) => boolean;

function valueCheck({ attr }: Named, op: string, operand: unknown): Check | undefined {
  const same = attr.checkedType === 'date' && attr.isIndexed ? isSameInstant : isEqual;
  switch (op) {
    case '$eq':
      return (value) => same(value, operand);
    case '$not':
    case '$ne':
      return (value) => !same(value, operand);
    case '$in':
    case 'in':
      if (!Array.isArray(operand)) return undefined;
      return oneOf(operand, same);
    case '$like':
    case '$ilike':
      if (typeof operand !== 'string') return undefined;
      return (value) => typeof value === 'string' && isLike(operand, value, op === '$like');
    case '$gt':
      return comparison(attr.checkedType, operand, (order) => order > 0);
    case '$gte':
      return comparison(attr.checkedType, operand, (order) => order >= 0);
    case '$lt':
      return comparison(attr.checkedType, operand, (order) => order < 0);
    case '$lte':
      return comparison(attr.checkedType, operand, (order) => order <= 0);
    default:
      return undefined;
  }
}

/** Long lists of ids are looked up, not walked. */
function oneOf(operands: readonly unknown[], same: typeof isEqual): Check {
  if (same !== isEqual || operands.some((one) => typeof one === 'object' && one !== null))
    return (value) => operands.some((one) => same(value, one));
  const set = new Set(operands);
  return (value) => set.has(value);
}

function isSameInstant(value: unknown, wanted: unknown): boolean {
  const one = instantUs(value);
  return one === null ? value === wanted : one === instantUs(wanted);
}

/** Null and what was never set compare with nothing (Q37). */
function comparison(
  type: CheckedType | null,
  operand: unknown,
  holds: (order: number) => boolean,
): Check {
  const wanted = type === 'date' ? instantUs(operand) : operand;
  return (value) => {
    const order = compare(type === 'date' ? instantUs(value) : value, wanted);
    return order !== null && holds(order);
  };
}

function compare(one: unknown, other: unknown): number | null {
  if (typeof one === 'string' && typeof other === 'string') return compareCodePoints(one, other);
  if (typeof one === 'number' && typeof other === 'number')
    return one === other ? 0 : one < other ? -1 : 1;
  if (typeof one === 'boolean' && typeof other === 'boolean') return Number(one) - Number(other);
  return null;
}
