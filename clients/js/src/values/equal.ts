import { isObject } from './json.ts';

/**
 * Whether two JSON values are equal: by content, whatever the order of keys (Q31).
 *
 * `1` and `"1"` differ; so do `null` and a value that is not there.
 */
export function isEqual(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (Array.isArray(one)) {
    return (
      Array.isArray(other) &&
      one.length === other.length &&
      one.every((item, place) => isEqual(item, other[place]))
    );
  }
  if (!isObject(one) || !isObject(other)) return false;
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && isEqual(one[key], other[key]))
  );
}
