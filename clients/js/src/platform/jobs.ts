import type { CheckedType } from '../schema/attr.ts';
import type { ApiAttr } from './api-schema.ts';
import {
  type ApiStep,
  type JobParams,
  type JobStep,
  type JobType,
  type PlanStep,
  planStepOf,
} from './steps.ts';

/** The wait before jobs are looked at; it doubles while none of them gets on. */
const POLL_MS = 100;
const POLL_MS_MAX = 10_000;

/** So many failures in a row to learn of the jobs are one too many. */
const FAILURES_MAX = 4;

/** A job as it travels (instant-http §4.8). */
export interface ApiJob {
  readonly id: string;
  readonly job_type: JobType;
  readonly job_status: 'waiting' | 'processing' | 'completed' | 'errored' | 'canceled';
  readonly work_estimate: number | null;
  readonly work_completed: number | null;
  readonly error: string | null;
  readonly checked_data_type?: CheckedType | null;
  readonly invalid_unique_value?: unknown;
  readonly invalid_triples_sample?:
    { readonly entity_id: string; readonly value: unknown; readonly json_type: string }[] | null;
  readonly created_at: string;
  readonly updated_at: string;
}

/** A change that the server makes behind the scenes, over rows that are there already. */
export interface Job {
  readonly id: string;
  readonly type: JobType;
  readonly status: ApiJob['job_status'];
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly workEstimate: number | null;
  readonly workCompleted: number | null;
  /** Why rows do not allow it, such as `triple-not-unique-error`. */
  readonly error: string | null;
  /** Up to ten of those rows. */
  readonly invalidTriplesSample?:
    { readonly entityId: string; readonly value: unknown; readonly jsonType: string }[] | undefined;
  readonly checkedDataType?: CheckedType | null;
  readonly invalidUniqueValue?: unknown;
}

/** A step that was begun. */
export type PushStep = Exclude<PlanStep, JobStep> | (JobStep & { readonly backgroundJob: Job });

/** How far a push has come. */
export interface PushStatus {
  readonly friendlyDescription: string;
  readonly totalCount: number;
  readonly inProgressCount: number;
  readonly completedCount: number;
  readonly errorCount: number;
  readonly steps: readonly PushStep[];
  readonly inProgressSteps: readonly PushStep[];
  readonly completedSteps: readonly PushStep[];
  readonly erroredSteps: readonly PushStep[];
}

function isDone(jobs: readonly ApiJob[]): boolean {
  return jobs.every(({ job_status: status }) => status !== 'waiting' && status !== 'processing');
}

/**
 * Looks at jobs until all are done.
 *
 * fetch  the jobs as they are now; wait  resolves after so many milliseconds
 * tell   called with them each time
 */
export async function untilDone(
  jobs: readonly ApiJob[],
  fetch: () => Promise<readonly ApiJob[]>,
  wait: (ms: number) => Promise<void>,
  tell: (jobs: readonly ApiJob[]) => void,
): Promise<readonly ApiJob[]> {
  let waitMs = POLL_MS;
  let failures = 0;
  for (let known = jobs; ;) {
    if (isDone(known)) return known;
    await wait(waitMs);
    let now: readonly ApiJob[];
    try {
      now = await fetch();
    } catch (error) {
      failures += 1;
      if (failures >= FAILURES_MAX) throw error;
      waitMs = Math.min(waitMs * 2, POLL_MS_MAX);
      continue;
    }
    failures = 0;
    waitMs = newest(now) > newest(known) ? POLL_MS : Math.min(waitMs * 2, POLL_MS_MAX);
    known = now;
    tell(known);
  }
}

function newest(jobs: readonly ApiJob[]): number {
  return Math.max(0, ...jobs.map(({ updated_at: at }) => Date.parse(at) || 0));
}

/** Steps with their jobs. */
export function pushStepsOf(
  steps: readonly ApiStep[],
  jobs: readonly ApiJob[],
  current: readonly ApiAttr[],
): PushStep[] {
  return steps.map((step) => {
    const planned = planStepOf(step, current);
    if (!('forwardIdentity' in planned)) return planned;
    const { 'job-id': id } = step[1] as JobParams;
    const job = jobs.find((one) => one.id === id);
    // A server that made the change at once has no job for it.
    return { ...planned, backgroundJob: job ? jobOf(job) : madeAtOnce(planned.type, id ?? '') };
  });
}

function jobOf(job: ApiJob): Job {
  return {
    id: job.id,
    type: job.job_type,
    status: job.job_status,
    createdAt: new Date(job.created_at),
    updatedAt: new Date(job.updated_at),
    workEstimate: job.work_estimate,
    workCompleted: job.work_completed,
    error: job.error,
    invalidTriplesSample: job.invalid_triples_sample?.map((one) => ({
      entityId: one.entity_id,
      value: one.value,
      jsonType: one.json_type,
    })),
    ...(job.job_type === 'check-data-type'
      ? { checkedDataType: job.checked_data_type ?? null }
      : {}),
    ...(job.job_type === 'unique' ? { invalidUniqueValue: job.invalid_unique_value } : {}),
  };
}

function madeAtOnce(type: JobType, id: string): Job {
  const at = new Date(0);
  const work = { workEstimate: null, workCompleted: null };
  return { id, type, status: 'completed', createdAt: at, updatedAt: at, ...work, error: null };
}

export function statusOf(steps: readonly PushStep[]): PushStatus {
  const stageOf = (step: PushStep) =>
    'backgroundJob' in step ? step.backgroundJob.status : 'completed';
  const inProgressSteps = steps.filter((step) => ['waiting', 'processing'].includes(stageOf(step)));
  const completedSteps = steps.filter((step) => stageOf(step) === 'completed');
  const erroredSteps = steps.filter((step) => ['errored', 'canceled'].includes(stageOf(step)));
  const counts = { all: steps.length, left: inProgressSteps.length, failed: erroredSteps.length };
  return {
    friendlyDescription: inWords(counts),
    totalCount: counts.all,
    inProgressCount: counts.left,
    completedCount: completedSteps.length,
    errorCount: counts.failed,
    ...{ steps, inProgressSteps, completedSteps, erroredSteps },
  };
}

function inWords({ all, left, failed }: { all: number; left: number; failed: number }): string {
  if (left > 0) return `Completing ${left} of ${all} schema operations.`;
  const end = failed > 0 ? `, with ${failed} error${failed > 1 ? 's' : ''}` : '.';
  return `Finished ${all} schema operation${all === 1 ? '' : 's'}${end}`;
}
