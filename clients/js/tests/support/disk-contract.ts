import { DISK_TABLES, type Disk, DiskError, type Disks } from '../../src/client/disk.ts';

/**
 * What every disk does, as functions that throw: they also run in pages, where no test runner is.
 */
export const DISK_CONTRACT: Readonly<Record<string, (disks: Disks) => Promise<void>>> = {
  'a new database has empty tables': async (disks) => {
    const disk = await disks.open('new');
    for (const table of DISK_TABLES) same(await disk.read(table), []);
  },

  'rows come by key, in the order of code units': async (disks) => {
    const disk = await disks.open('order');
    const keys = ['b', 'a\v', 'a\n1', 'a', 'é', 'Z', 'a\n0', '\ud83d\ude00', '\uffee'];
    await disk.write(
      keys.map((key) => put(key, `of ${key}`)),
      false,
    );
    const found = (await disk.read('rows')).map(([key]) => key);
    same(
      found,
      [...keys].sort((one, other) => (one < other ? -1 : 1)),
    );
    same(await disk.read('rows', { from: 'a\n', before: 'a\v' }), [
      ['a\n0', 'of a\n0'],
      ['a\n1', 'of a\n1'],
    ]);
  },

  'a range begins with its first key and ends before its last': async (disks) => {
    const disk = await disks.open('range');
    await disk.write(
      ['a', 'b', 'c'].map((key) => put(key, key)),
      false,
    );
    same(await disk.read('rows', { from: 'a', before: 'c' }), [
      ['a', 'a'],
      ['b', 'b'],
    ]);
    await disk.write([{ table: 'rows', range: { from: 'b', before: 'c' } }], false);
    same(
      (await disk.read('rows')).map(([key]) => key),
      ['a', 'c'],
    );
  },

  'changes of a batch are done in order': async (disks) => {
    const disk = await disks.open('batch');
    await disk.write([put('a', '1')], true);
    await disk.write(
      [
        { table: 'rows', range: { from: '', before: '\uffff' } },
        put('b', '1'),
        put('b', '2'),
        put('c', '1'),
        { table: 'rows', key: 'c', value: null },
        { table: 'rows', key: 'unknown', value: null },
        { table: 'meta', key: 'b', value: 'other' },
      ],
      true,
    );
    same(await disk.read('rows'), [['b', '2']]);
    same(await disk.read('meta'), [['b', 'other']]);
  },

  'what was written is there when it is opened again': async (disks) => {
    const disk = await disks.open('again');
    const text = 'ä\u0000\ud83d\ude00 "'.repeat(20_000);
    await disk.write([{ table: 'pending', key: 'k', value: text }], true);
    disk.close();
    same(await (await disks.open('again')).read('pending'), [['k', text]]);
  },

  'databases are apart, and a wiped one is gone': async (disks) => {
    const [one, other] = [await disks.open('one'), await disks.open('other')];
    await one.write([put('a', '1')], false);
    await other.write([put('a', '2')], false);
    await one.wipe();
    same(await other.read('rows'), [['a', '2']]);
    same(await (await disks.open('one')).read('rows'), []);
  },

  'a disk that was closed or wiped fails as lost': async (disks) => {
    for (const end of ['close', 'wipe'] as const) {
      const disk = await disks.open(`ended by ${end}`);
      await disk[end]();
      same(await reasonOf(disk.read('rows')), 'lost');
      same(await reasonOf(disk.write([put('a', '1')], false)), 'lost');
    }
  },

  'batches that are under way together are done in order, each whole': async (disks) => {
    const disk = await disks.open('together');
    const batches = Array.from({ length: 20 }, (_, number) =>
      disk.write([put('last', String(number)), put(`n${number}`, 'x')], number % 2 === 0),
    );
    await Promise.all(batches);
    const rows = await disk.read('rows');
    same(rows.length, 21);
    same(rows.find(([key]) => key === 'last')?.[1], '19');
  },
};

function put(key: string, value: string) {
  return { table: 'rows', key, value } as const;
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'none';
  } catch (error) {
    return error instanceof DiskError ? error.reason : String(error);
  }
}

function same(found: unknown, wanted: unknown): void {
  const [one, other] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (one !== other) throw new Error(`found ${one.slice(0, 300)}, wanted ${other.slice(0, 300)}`);
}

/** A disk that is open twice, as in two tabs: the wiping of one ends the other. */
export async function wipedElsewhere(disks: Disks): Promise<void> {
  const [one, other]: Disk[] = [await disks.open('tabs'), await disks.open('tabs')];
  await one!.write([put('a', '1')], true);
  same(await other!.read('rows'), [['a', '1']]);
  await one!.wipe();
  same(await reasonOf(other!.read('rows')), 'lost');
  same(await (await disks.open('tabs')).read('rows'), []);
}
