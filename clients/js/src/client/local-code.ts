import { decideBy } from '../pending/queue.ts';
import { pickBy } from '../query/picking.ts';
import { writeBy } from '../store/store.ts';
import type { Local } from './local.ts';

/** Fetches what is done here before the server tells of it, and takes it into use. */
export async function fetchLocal(): Promise<Local> {
  const local = await import('./local.ts');
  takeLocal(local);
  return local;
}

/** Takes it into use, for all clients of the page. */
export function takeLocal(local: Local): void {
  decideBy(local);
  pickBy(local);
  writeBy(local);
}
