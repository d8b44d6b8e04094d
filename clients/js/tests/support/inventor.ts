import type { WireAttr } from '../../src/schema/attr.ts';
import type { Inventor } from '../../src/pending/compile.ts';
import type { Random } from './random.ts';

/** Attrs as a client without a schema invents them. */
export function inventorOf(random: Random): Inventor {
  return {
    field: (etype, label, isLookup): WireAttr => ({
      id: random.uuid(),
      'forward-identity': [random.uuid(), etype, label],
      'value-type': 'blob',
      cardinality: 'one',
      'unique?': isLookup,
      'index?': isLookup && label !== 'id',
      isUnsynced: true,
    }),
    link: (etype, label): WireAttr => ({
      id: random.uuid(),
      'forward-identity': [random.uuid(), etype, label],
      'reverse-identity': [random.uuid(), label, etype],
      'value-type': 'ref',
      cardinality: 'many',
      'unique?': false,
      'index?': false,
      isUnsynced: true,
    }),
  };
}
