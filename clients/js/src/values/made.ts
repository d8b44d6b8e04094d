/** A map, or one whose keys it does not keep alive. */
interface Made<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): unknown;
}

/** The value of a key, made and kept if there is none. */
export function madeIn<K, V>(map: Made<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

export function newMap<K, V>(): Map<K, V> {
  return new Map();
}
