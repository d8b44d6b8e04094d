import type { Environment } from '../client/environment.ts';
import { webEnvironment } from '../web/environment.ts';

/** Whether pages are made here: browsers and devices have a window; Deno had one too. */
export function isServer(): boolean {
  return !('window' in globalThis) || 'Deno' in globalThis;
}

/** That of the web; on a server it says so. */
export function reactEnvironment(): Environment {
  return { ...webEnvironment(), isServer: isServer() };
}
