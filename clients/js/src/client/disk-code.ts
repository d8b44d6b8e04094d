/**
 * What opens and keeps a database: a piece of code of its own, fetched at once where there are
 * disks, beside the rest.
 */
export { UserDisk } from '../persistence/user-disk.ts';
export { indexedDbDisks } from '../web/indexeddb.ts';

/** The module, as it is once it is here. */
export type DiskCode = typeof import('./disk-code.ts');
