import type { Entry } from '../pending/entry.ts';
import type { TraceEvent, TraceOptions } from '../trace/events.ts';
import type { Trace } from '../trace/trace.ts';
import type { Environment } from './environment.ts';
import { Lazy } from './lazy.ts';

/** Calls `tell` with each event, until the function that it returns is called. */
export type Listen = (tell: (event: TraceEvent) => void, opts?: TraceOptions) => () => void;

/**
 * What tells events of what parts say to `trace`. Its code is fetched with the first call.
 *
 * entries  the pending writes as they are now
 */
export function listenTo(
  trace: Trace,
  environment: Environment,
  entries: () => readonly Entry[],
): Listen {
  const recorder = new Lazy(environment, async () => {
    const { Recorder } = await import('../trace/recorder.ts');
    return new Recorder(environment, trace, entries);
  });
  return (tell, opts) => recorder.subscribe((one) => one.listen(tell, opts));
}
