import type { DiskCode } from './disk-code.ts';

/** A database that is not open by then is waited for no longer: the client goes on without. */
export const OPEN_MS_MAX = 3_000;

/** Fetches what opens databases; the second time, it is there. */
export function fetchDiskCode(): Promise<DiskCode> {
  return import('./disk-code.ts');
}
