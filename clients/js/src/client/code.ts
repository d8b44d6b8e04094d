import { fetchLocal } from './local-code.ts';
import type { Later } from './later.ts';

/** Fetches what an app does not load at first, and what that needs; later on, it is there. */
export async function fetchLater(): Promise<Later> {
  const [later] = await Promise.all([import('./later.ts'), fetchLocal()]);
  return later;
}
