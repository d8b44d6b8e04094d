/** What mutations that wait are expected to change, on top of what live calls returned. */
import type { AnyChunk, Operation, TxBuilder } from '../pending/builder.ts';
import { operationsOf, tx } from '../pending/builder.ts';
import type { Entry } from '../pending/entry.ts';
import { queryHash } from '../store/hash.ts';
import { isEqual } from '../values/equal.ts';
import { isObject } from '../values/json.ts';
import type { Live, LiveCall, Optimistic, PredictedStep, Prediction, QueryRef } from './refs.ts';

/** Names a live call: the same whatever the order of the keys of its arguments. */
export function callKey(name: string, args: object): string {
  return queryHash([name, args]);
}

/** What `optimistic` says, as data: it survives the page. */
export function predict(
  optimistic: Optimistic<object, TxBuilder> | undefined,
  args: object,
): { readonly operations: Operation[]; readonly steps: PredictedStep[] } {
  const operations: Operation[] = [];
  const steps: PredictedStep[] = [];
  for (const said of optimistic?.(tx, args, live) ?? []) {
    if ('__steps' in said) steps.push(...said.__steps);
    else operations.push(...operationsOf(said as AnyChunk));
  }
  return { operations, steps: JSON.parse(JSON.stringify(steps)) as PredictedStep[] };
}

const live = ((fn: QueryRef, args: object) => {
  const key = callKey(fn.name, args);
  const step = (...[action, value, opts]: [PredictedStep[0], unknown, PredictedStep[3]?]) => ({
    __steps: [opts ? [action, key, value, opts] : [action, key, value]] as PredictedStep[],
  });
  return {
    put: (row, opts): Prediction => step('put', row, opts),
    remove: (id, opts): Prediction => step('remove', id, opts),
    set: (value): Prediction => step('set', value),
  } satisfies LiveCall<unknown>;
}) as Live;

/** The steps of an entry for a live call, which an answer up to `tx` does not contain yet. */
export function stepsFor({ call, tx }: Entry, key: string, upTo: number): readonly PredictedStep[] {
  if (!call || (tx !== null && tx <= upTo)) return [];
  return call.steps.filter(([, of]) => of === key);
}

/** What is shown of an answer after a step. What does not fit it changes nothing. */
export function apply(answer: unknown, [action, , value, opts]: PredictedStep): unknown {
  if (action === 'set') return value;
  if (opts?.in !== undefined) {
    if (!isObject(answer) || !Array.isArray(answer[opts.in])) return answer;
    const rows = answer[opts.in] as readonly unknown[];
    return { ...answer, [opts.in]: applyToRows(rows, action, value, opts.at) };
  }
  return Array.isArray(answer) ? applyToRows(answer, action, value, opts?.at) : answer;
}

function applyToRows(
  rows: readonly unknown[],
  action: 'put' | 'remove',
  value: unknown,
  at: 'start' | 'end' = 'end',
): readonly unknown[] {
  if (action === 'remove') return rows.filter((row) => idOf(row) !== value);
  const row = value as Readonly<Record<string, unknown>>;
  if (rows.some((one) => idOf(one) === row.id))
    return rows.map((one) => (idOf(one) === row.id ? { ...(one as object), ...row } : one));
  return at === 'start' ? [row, ...rows] : [...rows, row];
}

/**
 * A value, with the objects of the one before wherever they are equal, so that a row that did not
 * change is the same object. Rows are found by `id`. Frozen.
 */
export function shared(before: unknown, now: unknown): unknown {
  if (isEqual(before, now)) return before;
  if (Array.isArray(now)) {
    const old = Array.isArray(before) ? (before as readonly unknown[]) : [];
    const byId = new Map(old.map((row) => [idOf(row), row]));
    byId.delete(undefined);
    return Object.freeze(now.map((row, at) => shared(byId.get(idOf(row)) ?? old[at], row)));
  }
  if (!isObject(now)) return now;
  const old = isObject(before) ? before : {};
  const labels = Object.keys(now);
  return Object.freeze(
    Object.fromEntries(labels.map((label) => [label, shared(old[label], now[label])])),
  );
}

function idOf(value: unknown): unknown {
  return isObject(value) ? value.id : undefined;
}
