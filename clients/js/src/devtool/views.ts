import type { Parts } from './parts.ts';
import type { TriceError } from '../errors.ts';
import type { Operation } from '../pending/builder.ts';
import type { Entry } from '../pending/entry.ts';
import type { Answer } from '../store/answer.ts';
import { ABSENT } from '../store/edit.ts';
import { rowsOf } from '../trace/recorder.ts';
import { isObject } from '../values/json.ts';
import {
  countedText,
  countText,
  lengthOf,
  linesOf,
  msText,
  queryLine,
  sizeText,
  timeText,
} from './format.ts';
import type { Activity, Model } from './model.ts';
import { type Action, BODY_LENGTH_MAX, filtered, type Row, ROWS_MAX, type Sheet } from './sheet.ts';
import { connectionSheet, timelineSheet, wireSheet } from './events-views.ts';

/** What the panel shows, by the name of the tab. */
export const VIEWS = {
  Queries: queriesSheet,
  Writes: writesSheet,
  Wire: wireSheet,
  Cache: cacheSheet,
  Connection: connectionSheet,
  Timeline: timelineSheet,
} as const satisfies Readonly<
  Record<string, (parts: Parts, model: Model, filter: string) => Sheet>
>;

export type ViewName = keyof typeof VIEWS;

/** Writes that the server refused, or may have taken: the app has to decide. */
export function refusedCount({ pending }: Parts): number {
  return pending.list().filter(isRefused).length;
}

// --- queries ------------------------------------------------------------------------------------

/** Open queries, those that something woke last first. */
function queriesSheet({ store }: Parts, model: Model, filter: string): Sheet {
  const seqOf = ({ hash }: Answer) => model.activity(hash)?.last.seq ?? 0;
  const all = [...store.answers].sort((one, other) => seqOf(other) - seqOf(one));
  const { shown, count } = filtered(all, filter, ({ hash }) => hash);
  return {
    note: noteOf(shown.length, count, 'open query', 'open queries'),
    rows: shown.map((answer) => queryRow(answer, model.activity(answer.hash))),
  };
}

function queryRow(answer: Answer, activity: Activity | undefined): Row {
  const { hash, state } = answer;
  const last = activity?.last;
  const facts = [
    ...(state.isLoading ? ['loading'] : [countedText(rowsOf(answer), 'row')]),
    ...(state.data ? [`~${sizeText(sizeOf(state.data))}`] : []),
    ...(state.source === undefined || state.source === 'server' ? [] : [state.source]),
    ...(last ? [`woken by ${last.because}`, msText(last.ms), timeText(last.at)] : []),
  ];
  return {
    key: hash,
    title: queryLine(hash),
    facts,
    tone: state.error ? 'bad' : state.isLoading ? 'busy' : undefined,
    reason: state.error && reasonOf(state.error),
    body: () => queryText(answer, activity),
  };
}

function queryText(answer: Answer, activity: Activity | undefined): string {
  const { query, tx, version, state } = answer;
  const last = activity?.last;
  const causes = Object.entries(activity?.causes ?? {}).map(
    ([cause, times]) => `${cause} ${times}`,
  );
  return [
    linesOf(query, BODY_LENGTH_MAX),
    '',
    `answer: ${tx === null ? 'none yet' : `transaction ${tx}, version ${version ?? 'unnamed'}`}`,
    `complete: ${state.isComplete ? 'yes' : 'no'}`,
    `looked at: ${causes.length === 0 ? 'not since the panel is here' : causes.join(', ')}`,
    ...(last ? [`last time: ${candidatesText(last.candidates)}, ${msText(last.ms)}`] : []),
    ...(state.error ? ['', errorText(state.error)] : []),
  ].join('\n');
}

function candidatesText(candidates: number | null): string {
  return candidates === null ? 'all entities' : `${countText(candidates)} of its entities`;
}

const sizes = new WeakMap<object, number>();

/** About how many characters an answer has, computed once for each. */
function sizeOf(data: Readonly<Record<string, readonly unknown[]>>): number {
  let size = sizes.get(data);
  if (size === undefined) {
    size = Object.values(data).reduce((sum, rows) => sum + lengthOf(rows), 0);
    sizes.set(data, size);
  }
  return size;
}

// --- writes -------------------------------------------------------------------------------------

/** Pending writes: refused ones first, then those that wait, in order. */
function writesSheet(parts: Parts, _: Model, filter: string): Sheet {
  const entries = parts.pending.list();
  const all = [...entries.filter(isRefused), ...entries.filter((entry) => !isRefused(entry))];
  const { shown, count } = filtered(all, filter, titleOf);
  return {
    note: noteOf(shown.length, count, 'pending write'),
    rows: shown.map((entry) => writeRow(entry, parts)),
  };
}

function isRefused({ state }: Entry): boolean {
  return state === 'rejected' || state === 'uncertain';
}

function writeRow(entry: Entry, { pending }: Parts): Row {
  const { id, state, operations, createdAt, error } = entry;
  const retry: Action = { label: 'Retry', run: () => pending.retry(id) };
  const drop: Action = { label: 'Drop', run: () => pending.drop(id) };
  const mayDrop = state !== 'sent' && state !== 'acked';
  return {
    key: id,
    kind: state,
    title: titleOf(entry),
    facts: [countedText(operations.length, 'operation'), timeText(createdAt)],
    tone: isRefused(entry) ? 'bad' : 'busy',
    reason: error ? reasonOf(error) : undefined,
    body: () => writeText(entry),
    actions: [...(isRefused(entry) ? [retry] : []), ...(mayDrop ? [drop] : [])],
  };
}

/** `update todos 0191…`, and how many more; of a call its function. */
function titleOf({ label, call, operations }: Entry): string {
  if (call) return `${label === undefined ? '' : `${label}: `}call ${call.name}`;
  const named = operations.slice(0, 2).map(([action, etype, id]: Operation) => {
    const short = typeof id === 'string' ? id.slice(0, 8) : queryLine(JSON.stringify(id));
    return `${action} ${etype} ${short}`;
  });
  const more = operations.length > 2 ? ` and ${countText(operations.length - 2)} more` : '';
  return `${label === undefined ? '' : `${label}: `}${named.join(', ')}${more}`;
}

function writeText(entry: Entry): string {
  const { id, call, operations, error, tx, wasSent } = entry;
  return [
    ...(error ? [errorText(error), ''] : []),
    `id: ${id}`,
    `sent in this start: ${wasSent ? 'yes' : 'no'}`,
    ...(tx === null ? [] : [`transaction: ${tx}`]),
    ...(call ? ['', linesOf({ [call.name]: call.args }, BODY_LENGTH_MAX), '', 'expected:'] : ['']),
    linesOf(operations.slice(0, ROWS_MAX), BODY_LENGTH_MAX),
  ].join('\n');
}

// --- why ----------------------------------------------------------------------------------------

/** `Refused by the rule todos.update (permission-denied). …` */
export function reasonOf(error: TriceError): string {
  const { code, message } = error;
  const rule = ruleOf(error);
  return rule ? `Refused by the rule ${rule} (${code}). ${message}` : `${code}: ${message}`;
}

/** The rule that refused, such as `todos.update`, or those that may have. */
export function ruleOf({ code, hint, message }: TriceError): string | undefined {
  if (!code.startsWith('permission-')) return undefined;
  const { rule } = hint ?? {};
  if (Array.isArray(rule)) return rule.join('.');
  const named = [...message.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
  return named.length === 0 ? undefined : named.join(' or ');
}

function errorText({ code, message, hint, traceId }: TriceError): string {
  return [
    `${code}: ${message}`,
    ...(isObject(hint) ? [`hint: ${linesOf(hint, BODY_LENGTH_MAX)}`] : []),
    ...(traceId === undefined ? [] : [`trace id: ${traceId}`]),
  ].join('\n');
}

// --- cache --------------------------------------------------------------------------------------

/** What is known here: entities of each namespace, and what the disk holds of them. */
function cacheSheet({ store, persistence, pending }: Parts, model: Model, filter: string): Sheet {
  const found = new Map<string, { ids: Set<string>; answers: number }>();
  for (const { bag } of store.answers) {
    const here = new Set<string>();
    for (const { etype, id, createdAt } of bag.records.all()) {
      if (createdAt === ABSENT) continue;
      let known = found.get(etype);
      if (known === undefined) found.set(etype, (known = { ids: new Set(), answers: 0 }));
      known.ids.add(id);
      here.add(etype);
    }
    for (const etype of here) found.get(etype)!.answers += 1;
  }
  const all = [...found].sort(([, one], [, other]) => other.ids.size - one.ids.size);
  const { shown } = filtered(all, filter, ([etype]) => etype);
  const entities = all.reduce((sum, [, { ids }]) => sum + ids.size, 0);
  const heads = [...(persistence.kept?.heads.values() ?? [])];
  const bytes = heads.reduce((sum, head) => sum + head.bytes, 0);
  const { batches } = model;
  const disk: Row = {
    key: ' disk',
    title: `Disk: ${persistence.isOn ? persistence.status : 'none here'}`,
    facts: [
      countedText(heads.length, 'answer'),
      sizeText(bytes),
      countedText(pending.list().length, 'pending write'),
      `${countedText(batches.count, 'batch', 'batches')} written`,
    ],
    tone: ['full', 'reset'].includes(persistence.status) || batches.failed > 0 ? 'bad' : undefined,
  };
  return {
    note: `${countedText(entities, 'entity', 'entities')} known here`,
    rows: [
      disk,
      ...shown.map(([etype, { ids, answers }]) => ({
        key: etype,
        title: etype,
        facts: [
          countedText(ids.size, 'entity', 'entities'),
          `in ${countedText(answers, 'answer')}`,
        ],
      })),
    ],
  };
}

function noteOf(shown: number, count: number, one: string, more = `${one}s`): string {
  const all = countedText(count, one, more);
  return shown < count ? `The first ${countText(shown)} of ${all}` : all;
}
