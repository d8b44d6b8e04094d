import type { TabPlatform } from '../client/tab-platform.ts';
import type { TabGlobals } from './tabs.ts';

/** What this file takes of a browser. */
export interface LockGlobals {
  readonly navigator?: { readonly locks?: Locks };
  readonly BroadcastChannel?: unknown;
  /** Programs have locks and channels too, but no tabs. */
  readonly document?: unknown;
  readonly AbortController?: new () => { readonly signal: object; abort(): void };
}

interface Locks {
  request(
    name: string,
    options: { ifAvailable?: boolean; steal?: boolean; signal?: object },
    held: (lock: object | null) => Promise<void> | undefined,
  ): Promise<unknown>;
}

/** Locks of a browser; undefined where they or channels are missing, as in pages without TLS. */
export function tabPlatform(globals: LockGlobals): TabPlatform | undefined {
  const locks = globals.BroadcastChannel && globals.document ? locksOf(globals) : undefined;
  return (
    locks && {
      lock: (name, how, handlers) => {
        const abort = new globals.AbortController!();
        let letGo: (() => void) | null = null;
        let isEnded = false;
        const held = (lock: object | null) => {
          if (isEnded) return undefined;
          if (lock === null) {
            handlers.refused?.();
            return undefined;
          }
          return new Promise<void>((resolve) => {
            letGo = resolve;
            handlers.granted();
          });
        };
        const options =
          how === 'wait'
            ? { signal: abort.signal }
            : { ifAvailable: how === 'now', steal: how === 'steal' };
        locks.request(name, options, held).catch(() => {
          if (!isEnded) handlers.stolen();
        });
        return () => {
          isEnded = true;
          letGo?.();
          abort.abort();
        };
      },
      signals: (code) => code.tabSignals(globals as TabGlobals),
    }
  );
}

/** Browsers may throw where locks are only named, as in frames without an origin. */
function locksOf(globals: LockGlobals): Locks | undefined {
  try {
    return globals.navigator?.locks;
  } catch {
    return undefined;
  }
}
