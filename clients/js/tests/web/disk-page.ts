/** What the page of indexeddb.test.ts does in a browser. */
import { Database } from '../../src/client/database.ts';
import type { Disk } from '../../src/client/disk.ts';
import type { SchemaShape } from '../../src/schema/shape.ts';
import { webEnvironment } from '../../src/web/environment.ts';
import { indexedDbDisks, type IndexedDbGlobals } from '../../src/web/indexeddb.ts';
import { DISK_CONTRACT, wipedElsewhere } from '../support/disk-contract.ts';

const globals = globalThis as unknown as IndexedDbGlobals;
const opened: Disk[] = [];

/** Lets go of what a case opened, as a page that ends does. */
const disks = {
  open: async (name: string) => {
    const disk = await indexedDbDisks(globals).open(name);
    opened.push(disk);
    return disk;
  },
};

const page = {
  async contract(name: string): Promise<void> {
    await DISK_CONTRACT[name]!(disks);
    for (const disk of opened.splice(0)) disk.close();
  },
  /** How many answers are kept. */
  async answers(): Promise<number> {
    const [name] = (await indexedDB.databases()).flatMap((one) => one.name ?? []);
    const disk = await indexedDbDisks(globals).open(name!);
    const rows = await disk.read('answers');
    disk.close();
    return rows.length;
  },
  wipedElsewhere: () => wipedElsewhere(disks),
  start(server: string, schema: SchemaShape, appId = 'app', tabs = true) {
    const db = new Database({ appId, schema, server, tabs }, webEnvironment());
    db.subscribeQuery({ tags: {} }, (state) => Object.assign(page, { state }));
    Object.assign(page, { db });
  },
};

Object.assign(globalThis, { page });
