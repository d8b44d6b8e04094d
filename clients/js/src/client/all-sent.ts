import type { Queue } from '../pending/queue.ts';
import type { Environment } from './environment.ts';

/** Resolves when no write waits, or after so long. */
export function allSent(queue: Queue, environment: Environment, waitMs: number): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      stop();
      resolve();
    };
    const cancel = environment.timer(waitMs, end);
    const stop = queue.observe(() => {
      if (queue.waiting.length === 0) end();
    });
    if (queue.waiting.length === 0) end();
  });
}
