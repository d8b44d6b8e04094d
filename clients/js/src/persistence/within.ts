import { DiskError } from '../client/disk.ts';
import type { Environment } from '../client/environment.ts';

/** A timer that is so late says that the page slept, or was busy: what came meanwhile is heard. */
const SLEPT_MS = 50;

/** What a disk does, or `lost` if it has not done it by then; a page that slept waits anew. */
export function within<T>(environment: Environment, ms: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const dueAt = environment.now() + ms;
    const cancel = environment.timer(ms, () => {
      if (environment.now() - dueAt <= SLEPT_MS) return reject(new DiskError('lost'));
      within(environment, ms, work).then(resolve, reject);
    });
    work.then(resolve, reject).finally(cancel);
  });
}
