import type { Later } from './later.ts';

/** Fetches what an app does not load at first; the second time, it is there. */
export function fetchLater(): Promise<Later> {
  return import('./later.ts');
}
