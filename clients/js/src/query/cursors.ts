import { sortKey } from '../values/order.ts';
import type { Cursor, Order } from './form.ts';
import { compare, type Position } from './sort.ts';

/** The position that a cursor names. */
export function cursorPosition(order: Order, cursor: Cursor): Position {
  const [id, , value, createdAt] = cursor;
  const key = order.attr === null ? (createdAt ?? 0) : sortKey(order.attr.checkedType, value);
  return { id, key };
}

/**
 * Compares two positions in the direction of the order; ids decide ties, in its direction (Q52).
 */
export function comparePositions(order: Order, one: Position, other: Position): number {
  return compare(order, one.key, one.id, other.key, other.id);
}
