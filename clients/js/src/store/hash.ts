import { isObject } from '../values/json.ts';

/**
 * A text that equal queries share, whatever the order of their keys; dates and undefined as in
 * JSON.
 */
export function queryHash(query: unknown): string {
  return JSON.stringify(sorted(JSON.parse(JSON.stringify(query))));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}
