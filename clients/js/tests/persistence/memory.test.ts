import { expect, test } from 'vitest';
import { DiskError } from '../../src/client/disk.ts';
import { MemoryDisks } from '../../src/persistence/memory.ts';
import { DISK_CONTRACT } from '../support/disk-contract.ts';

test.each(Object.entries(DISK_CONTRACT))('[J84] in memory: %s', async (_, run) => {
  await run(new MemoryDisks());
});

test('[J84] a table that is missing fails as broken', async () => {
  const disks = new MemoryDisks();
  const disk = await disks.open('broken');
  disks.databases.get('broken')!.delete('rows');
  await expect(disk.read('rows')).rejects.toEqual(new DiskError('broken'));
});
