import { expect, test } from 'vitest';
import { applyEdits, type Members } from '../../src/rooms/presence.ts';

/** The members after edits. */
function after(members: Record<string, unknown>, edits: readonly unknown[]): unknown {
  const map: Members = new Map(Object.entries(members));
  applyEdits(map, edits);
  return Object.fromEntries(map);
}

test('[J90] edits of every kind lead to the new state', () => {
  const ada = { data: { at: { x: 1, y: 2 }, tags: ['a', 'b', 'c'], mood: 'idle' } };
  const edits = [
    [['ada', 'data', 'at', 'x'], 'r', 3],
    [['ada', 'data', 'tags', 1], '-'],
    [['ada', 'data', 'tags', 0], '+', 'z'],
    [['ada', 'data', 'tags', 2], 'r', 'y'],
    [['ada', 'data', 'mood'], '-'],
    [['ada', 'data', 'name'], '+', 'Ada'],
    [['bob'], '+', { data: {} }],
    [['eve'], '-'],
  ];
  expect(after({ ada, eve: { data: {} } }, edits)).toStrictEqual({
    ada: { data: { at: { x: 3, y: 2 }, tags: ['z', 'a', 'y'], name: 'Ada' } },
    bob: { data: {} },
  });
  // What was told before is not written to.
  expect(ada.data.tags).toEqual(['a', 'b', 'c']);
});

test('[J90] a removal takes away what it names, and nothing around it', () => {
  const members = { ada: { data: { only: 1 } } };
  expect(after(members, [[['ada', 'data', 'only'], '-']])).toStrictEqual({ ada: { data: {} } });
});

test('[J90] edits of what is not known make no member, and malformed ones nothing', () => {
  const edits = [
    [['eve', 'data', 'x'], '-'],
    [['eve'], '-'],
    [[], 'r', {}],
    'x',
    [['ada', 'data', 'deep', 'er'], '-'],
  ];
  expect(after({ ada: { data: {} } }, edits)).toStrictEqual({ ada: { data: {} } });
});
