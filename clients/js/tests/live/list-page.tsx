/** What the page of list.test.ts does in a browser: a list, and counts of what it did. */
import { memo, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { ReactDatabase } from '../../src/react/database.ts';
import { reactEnvironment } from '../../src/react/environment.ts';

/** In the order of a field that changes too. */
const TASKS = { tasks: { $: { order: { rank: 'asc' } } } } as const;

/** What was counted since the list was first shown whole, and times in ms. */
export interface Counts {
  /** Of each row that was rendered, by id: how many times. */
  readonly renders: Record<string, number>;
  /** Renders of the list as a whole. */
  lists: number;
  /** Texts of rows that changed in the DOM. */
  texts: number;
  /** Rows that came into the DOM or were put elsewhere, and those taken out. */
  added: number;
  removed: number;
  /** Anything else that changed in the DOM. */
  others: number;
  readonly longTasks: number[];
  /** Between one animation frame and the next. */
  readonly frames: number[];
}

interface Row {
  readonly id: string;
  readonly title: string;
}

let counts: Counts = start();
let since = 0;

const Task = memo(function Task({ row }: { row: Row }): ReactNode {
  counts.renders[row.id] = (counts.renders[row.id] ?? 0) + 1;
  return <li id={row.id}>{row.title}</li>;
});

function Tasks({ db }: { db: ReactDatabase }): ReactNode {
  counts.lists += 1;
  const { data } = db.useQuery(TASKS);
  return (
    <ul>
      {data?.tasks!.map((row) => (
        <Task key={row.id} row={row as unknown as Row} />
      ))}
    </ul>
  );
}

function start(): Counts {
  const none = { lists: 0, texts: 0, added: 0, removed: 0, others: 0 };
  return { ...none, renders: {}, longTasks: [], frames: [] };
}

function mutated(records: readonly MutationRecord[]): void {
  for (const { type, addedNodes, removedNodes } of records)
    if (type === 'characterData') counts.texts += 1;
    else if (type === 'childList') {
      counts.added += addedNodes.length;
      counts.removed += removedNodes.length;
    } else counts.others += 1;
}

function watch(): void {
  const everything = { childList: true, subtree: true, characterData: true, attributes: true };
  new MutationObserver(mutated).observe(document.body, everything);
  new PerformanceObserver((seen) => {
    // They are told late: those of the first rendering are not counted.
    const entries = seen.getEntries().filter(({ startTime }) => startTime >= since);
    counts.longTasks.push(...entries.map(({ duration }) => duration));
  }).observe({ type: 'longtask' });
  let before = performance.now();
  const frame = (now: number): void => {
    counts.frames.push(now - before);
    before = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

const list = {
  open(appId: string, server: string): void {
    const db = new ReactDatabase({ appId, server }, reactEnvironment());
    createRoot(document.body).render(<Tasks db={db} />);
    watch();
  },
  /** What was counted until now; counts begin anew. */
  take(): Counts {
    const before = counts;
    counts = start();
    since = performance.now();
    return before;
  },
  /** Rows whose text or place changed in the DOM since counts began. */
  touched: (): number => counts.texts + counts.added,
  /** The rows as they stand: id and text. */
  shown: (): [string, string | null][] =>
    [...document.querySelectorAll('li')].map(({ id, textContent }) => [id, textContent]),
};

export type ListPage = typeof list;

Object.assign(globalThis, { list });
