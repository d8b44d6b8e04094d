import { expect, test } from 'vitest';
import type { DiskGuard } from '../../src/client/disk.ts';
import { Stored } from '../simulation/device.ts';
import { DiskStage, watch } from '../support/disk-stage.ts';

const GUARD: DiskGuard = { key: 'writer:1', value: 'this tab' };

/** Guards of what is written from now on. */
function guardsOf(stored: Stored): (DiskGuard | undefined)[] {
  const guards: (DiskGuard | undefined)[] = [];
  const open = stored.disks.open.bind(stored.disks);
  stored.disks.open = async (name) => {
    const disk = await open(name);
    const write = disk.write.bind(disk);
    disk.write = (batch, isStrict, guard) => {
      guards.push(guard);
      return write(batch, isStrict, guard);
    };
    return disk;
  };
  return guards;
}

const CASES = [
  ['in time for no other tab to write', 2_000, undefined],
  ['so late that another may', 4_000, GUARD],
] as const;

test.each(CASES)(
  '[J321] a page that ends asks for its guard late only: %s',
  async (_, ms, guard) => {
    const stage = new DiskStage();
    const stored = new Stored();
    const guards = guardsOf(stored);
    const { page, db } = stage.page(stored);
    const { observer } = watch(db);
    while (observer.get().isLoading) await stage.clock.pass(1);
    const writer = db.engine.persistence.writer!;
    writer.guardBy(GUARD);
    await stage.clock.pass(1);
    writer.certainAt -= ms;
    guards.length = 0;
    page.hide();
    await stage.clock.pass(20);
    expect(guards[0]).toEqual(guard);
  },
);
