import { init as initOriginal } from '@instantdb/react';
import { expect, test } from 'vitest';
import * as all from '../../src/react-native/index.ts';

/** What `@instantdb/react-native` exports for programs (1.0.63), without what this client lacks. */
const NAMES = ['i', 'id', 'init', 'lookup', 'tx'];

/** What an object of the original has that ours has not. */
const LACKING = ['core', '_core', 'useAppStatus'];

test('[J210] the names of the original are there, its hooks too', () => {
  expect(Object.keys(all)).toEqual(expect.arrayContaining(NAMES));
  const storage = { disks: { open: () => new Promise<never>(() => {}) }, texts: TEXTS };
  const db = all.init({ appId: 'app', storage }) as object;
  // The original's is the same class for React and React Native.
  const original = initOriginal({ appId: '00000000-0000-4000-8000-000000000000' });
  const names = [
    ...Object.keys(original),
    ...Object.getOwnPropertyNames(Object.getPrototypeOf(Object.getPrototypeOf(original))),
  ].filter((name) => !name.startsWith('_'));
  expect(names).toEqual(expect.arrayContaining(['useQuery', 'room', 'SignedIn']));
  expect(names.filter((name) => !(name in db) && !LACKING.includes(name))).toEqual([]);
  const { rooms } = db as { rooms: object };
  expect(Object.keys(rooms)).toEqual(expect.arrayContaining(Object.keys(original.rooms)));
  (db as { shutdown(): void }).shutdown();
});

test('[J210] nothing that needs a DOM is there', () => {
  expect(Object.keys(all)).not.toContain('Cursors');
});

const TEXTS = { get: async () => null, set: async () => {}, remove: async () => {} };
