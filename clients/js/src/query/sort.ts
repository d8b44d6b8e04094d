import type { EntityRecord } from '../store/view.ts';
import { compareKeys, type SortKey, sortKey } from '../values/order.ts';
import type { Order } from './form.ts';

/** Where a row stands: by its key, then by its id. */
export interface Position {
  readonly id: string;
  readonly key: SortKey;
}

/** The position of an entity in an order. */
export function positionOf(order: Order, record: EntityRecord): Position {
  return { id: record.id, key: keyOf(order, record) };
}

/** The records in order, as a new array. Each key is computed once. */
export function sorted(order: Order, records: readonly EntityRecord[]): EntityRecord[] {
  if (records.length < 2) return [...records];
  const keyed = records.map((record) => ({ record, key: keyOf(order, record) }));
  keyed.sort((one, other) => compare(order, one.key, one.record.id, other.key, other.record.id));
  return keyed.map(({ record }) => record);
}

/** By what a record stands in an order. */
export function keyOf({ attr }: Order, record: EntityRecord): SortKey {
  return attr === null ? record.createdAt : sortKey(attr.checkedType, record.cells[attr.id]);
}

/** Compares keys, and ids where they are equal, in the direction of an order. */
export function compare(
  { isDescending }: Order,
  key: SortKey,
  id: string,
  otherKey: SortKey,
  otherId: string,
): number {
  const found = compareKeys(key, otherKey) || compareIds(id, otherId);
  return isDescending ? -found : found;
}

function compareIds(one: string, other: string): number {
  return one === other ? 0 : one < other ? -1 : 1;
}
