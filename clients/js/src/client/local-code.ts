import { takeLocal } from '../values/here.ts';
import type { LocalCode } from './local.ts';

/** Fetches what is done here before the server tells of it, and takes it into use. */
export async function fetchLocal(): Promise<LocalCode> {
  const local = await import('./local.ts');
  takeLocal(local);
  return local;
}
