import { expect, test } from 'vitest';
import type { Entry } from '../../src/pending/entry.ts';
import { Queue } from '../../src/pending/queue.ts';
import { FollowedQueue } from '../../src/tabs/followed-queue.ts';

function queueOf(): { queue: Queue; followed: FollowedQueue; told: string[] } {
  const queue = new Queue(() => {});
  const told: string[] = [];
  queue.isDurable = true;
  const followed = new FollowedQueue(queue, ({ op, id }) => told.push(`${op} ${id}`));
  queue.owner = followed;
  const waiter = { saved: () => told.push('saved'), settle: () => told.push('settled') };
  queue.add('own', [], { now: 0, ...waiter });
  return { queue, followed, told };
}

function take(followed: FollowedQueue, entries: readonly Entry[]): void {
  followed.take(entries, new Set(entries.map(({ id }) => id)));
}

function entryOf(queue: Queue, id: string, seq: number, state: Entry['state']): Entry {
  return { ...queue.get('own')!, id, seq, state, tx: state === 'acked' ? 7 : null };
}

test('[J162] who follows a queue is told what became of what it gave', () => {
  const { queue, followed, told } = queueOf();
  take(followed, [entryOf(queue, 'own', 1, 'queued')]);
  expect(told).toEqual(['saved']);
  take(followed, [entryOf(queue, 'own', 1, 'acked')]);
  expect(told).toEqual(['saved', 'settled']);
});

test('[J162] a new owner keeps its own writes, and of the others what is on disk', () => {
  const { queue, followed } = queueOf();
  const [own, other, acked] = [
    entryOf(queue, 'own', 1, 'queued'),
    entryOf(queue, 'other', 2, 'queued'),
    entryOf(queue, 'acked', 3, 'acked'),
  ];
  take(followed, [own, other, acked]);
  followed.restore([entryOf(queue, 'kept', 4, 'queued')]);
  // What is not on the disk is saved before it is sent.
  expect(queue.entries.map(({ id, state }) => `${id} ${state}`)).toEqual([
    'kept queued',
    'own saving',
    'acked acked',
  ]);
  expect(queue.sendable().map(({ id }) => id)).toEqual(['kept']);
});

test('[J163] who follows asks the owner to decide', () => {
  const { queue, followed, told } = queueOf();
  take(followed, [entryOf(queue, 'own', 1, 'rejected')]);
  queue.retry('own');
  queue.drop('own', 0);
  queue.edit('own', 'new', []);
  expect(told.slice(-3)).toEqual(['retry own', 'drop own', 'edit own']);
  expect(queue.entries.map(({ state }) => state)).toEqual(['rejected']);
});

test('[J162] who leads again is told what became of what it gave, by what the disk says', () => {
  const { queue, followed, told } = queueOf();
  const own = entryOf(queue, 'own', 1, 'queued');
  take(followed, [own]);
  followed.restore([{ ...own, state: 'acked', tx: 7 }]);
  expect(told).toEqual(['saved', 'settled']);
});

test('[J175] an upload that is no longer on the disk of an owner is saved anew', () => {
  const { queue, followed } = queueOf();
  const upload = { path: 'a', bytes: 1, contentType: undefined, contentDisposition: undefined };
  const waiter = { saved: () => {}, settle: () => {} };
  const kept = { ...upload, fileId: 'f', place: null, isKept: true };
  queue.addUpload('file', kept, { isKeeping: true, now: 0, ...waiter });
  followed.restore([]);
  expect(queue.get('file')).toMatchObject({ state: 'saving', upload: { isKept: false } });
});
