import { expect, test } from 'vitest';
import { PlatformApi } from '../../src/platform/api.ts';
import type { ApiJob } from '../../src/platform/jobs.ts';
import { HttpStage, type Scripted } from '../support/http-stage.ts';

const IDENT = ['i', 'todos', 'title'] as const;
const STEPS = [
  ['add-attr', { id: 'n', 'value-type': 'blob', 'forward-identity': ['i', 'todos', 'done'] }],
  ['index', { 'attr-id': 'a', 'forward-identity': IDENT, 'job-id': 'j1' }],
  ['unique', { 'attr-id': 'a', 'forward-identity': IDENT, 'job-id': 'j2' }],
  ['required', { 'attr-id': 'a', 'forward-identity': IDENT }],
] as const;
const EMPTY = { blobs: {}, refs: {} };
const SCHEMA = { entities: {}, links: {} };

function job(id: string, status: ApiJob['job_status'], second = 0): ApiJob {
  return {
    id,
    job_type: id === 'j1' ? 'index' : 'unique',
    job_status: status,
    work_estimate: null,
    work_completed: null,
    error: status === 'errored' ? 'triple-not-unique-error' : null,
    ...(status === 'errored' ? { invalid_unique_value: 'x' } : {}),
    created_at: '2026-01-01T00:00:00Z',
    updated_at: `2026-01-01T00:00:${String(second).padStart(2, '0')}Z`,
  };
}

/** A push whose jobs the test answers. Times are those at which they were asked for. */
function push(jobs: () => Scripted) {
  const stage = new HttpStage();
  const askedAt: number[] = [];
  const start = stage.clock.now;
  stage.answer = ({ path }) => {
    if (path === '/superadmin/apps/app/schema') return { json: { schema: EMPTY } };
    if (path === '/superadmin/apps/app/schema/push/apply')
      return {
        json: {
          steps: STEPS,
          'indexing-jobs': { 'group-id': 'g', jobs: [job('j1', 'waiting'), job('j2', 'waiting')] },
        },
      };
    askedAt.push(stage.clock.now - start);
    expect(path).toBe('/dash/apps/app/indexing-jobs/group/g');
    return jobs();
  };
  const api = new PlatformApi({ auth: { token: 't' } }, stage.environment);
  return { stage, askedAt, pushing: api.schemaPush('app', { schema: SCHEMA }) };
}

test('[J125] a push tells how far it is, and ends with its jobs', async () => {
  const answers = [
    [job('j1', 'processing', 1), job('j2', 'waiting', 0)],
    [job('j1', 'completed', 2), job('j2', 'processing', 2)],
    [job('j1', 'completed', 2), job('j2', 'errored', 3)],
  ];
  const { stage, askedAt, pushing } = push(() => ({ json: { jobs: answers.shift() } }));
  const words: string[] = [];
  const left: string[] = [];
  pushing.subscribe({
    next: ({ friendlyDescription }) => {
      words.push(friendlyDescription);
      throw new Error('mine');
    },
    complete: () => words.push('complete'),
  });
  pushing.subscribe({ next: () => left.push('heard') }).unsubscribe();
  const unhandled: unknown[] = [];
  const keep = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', keep);
  await stage.clock.pass(10_000);
  const { steps, summary, newSchema } = await pushing;
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', keep);
  // What the observer throws is its own, and stops nothing.
  expect(unhandled).toHaveLength(3);
  expect(left).toEqual([]);
  expect(words).toEqual([
    'Completing 2 of 4 schema operations.',
    'Completing 1 of 4 schema operations.',
    'Finished 4 schema operations, with 1 error',
    'complete',
  ]);
  expect(askedAt).toEqual([100, 200, 300]);
  expect(newSchema).toEqual(SCHEMA);
  expect(summary).toMatchObject({ totalCount: 4, completedCount: 3, errorCount: 1 });
  expect(steps[2]).toMatchObject({
    type: 'unique',
    backgroundJob: {
      status: 'errored',
      error: 'triple-not-unique-error',
      invalidUniqueValue: 'x',
    },
  });
  expect(steps[3]).toMatchObject({ backgroundJob: { status: 'completed' } });
});

test('[J125] jobs that do not get on are asked for ever less often', async () => {
  let asked = 0;
  const { stage, askedAt, pushing } = push(() => {
    asked += 1;
    return { json: { jobs: [job('j1', asked < 9 ? 'processing' : 'completed')] } };
  });
  await stage.clock.pass(120_000);
  await pushing;
  expect(askedAt).toEqual([100, 300, 700, 1_500, 3_100, 6_300, 12_700, 22_700, 32_700]);
});

test('[J125] a job that somebody canceled ends the push, as one that failed', async () => {
  const { stage, pushing } = push(() => ({
    json: { jobs: [job('j1', 'canceled'), job('j2', 'completed')] },
  }));
  await stage.clock.pass(1_000);
  const { summary } = await pushing;
  expect(summary).toMatchObject({ errorCount: 1, completedCount: 3, inProgressCount: 0 });
});

test('[J125] three failures in a row are outlasted, four are not', async () => {
  for (const [failures, isOutlasted] of [
    [3, true],
    [4, false],
  ] as const) {
    let left: number = failures;
    const { stage, pushing } = push(() => {
      left -= 1;
      return left >= 0
        ? new TypeError('fetch failed')
        : { json: { jobs: [job('j1', 'completed')] } };
    });
    const errors: Error[] = [];
    pushing.subscribe({ error: (error) => errors.push(error) });
    const ended = pushing.then(
      () => true,
      () => false,
    );
    await stage.clock.pass(120_000);
    expect(await ended).toBe(isOutlasted);
    expect(errors).toHaveLength(isOutlasted ? 0 : 1);
  }
});
