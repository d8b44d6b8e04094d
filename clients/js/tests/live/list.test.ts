/**
 * A list of 1,000 rows in the machine's own Chromium, while others write 60 times a second on a
 * real server. Counted is what does not depend on the machine; how smooth it was is printed.
 *
 * A long run: `TRICE_UPDATES=900 npx vitest run tests/live/list`.
 */
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Browser, chromium } from '@playwright/test';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Step } from '../../src/pending/steps.ts';
import type { WireAttr } from '../../src/schema/attr.ts';
import { bundled } from '../support/bundled.ts';
import { LiveApp, LiveServer } from '../support/live-server.ts';
import { entity } from '../support/stage.ts';
import type { Counts, ListPage } from './list-page.tsx';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ROWS = 1_000;
const PER_SECOND = 60;
/** Each changes another row, so that none can hide behind a later one. */
const UPDATES = Number(process.env.TRICE_UPDATES ?? 300);
/** Every so many updates puts its row at the end of the list; the others change its text. */
const MOVES_EVERY = 5;

const [ID, TITLE, RANK] = (['id', 'title', 'rank'] as const).map((label, place): WireAttr => ({
  id: entity(9_000 + place),
  'forward-identity': [entity(9_100 + place), 'tasks', label],
  'value-type': 'blob',
  cardinality: 'one',
  'unique?': label === 'id',
  'index?': label !== 'title',
  ...(label === 'rank' ? { 'checked-data-type': 'number' } : {}),
})) as [WireAttr, WireAttr, WireAttr];

/** Chromium lets only pages that came over the network themselves reach a server over loopback. */
const site = createServer((request, response) => {
  const isScript = request.url === '/page.js';
  const type = `text/${isScript ? 'javascript' : 'html'}; charset=utf-8`;
  const html =
    '<!doctype html><link rel="icon" href="data:,"><body><script src="/page.js"></script>';
  response.setHeader('content-type', type).end(isScript ? script : html);
});
let server: LiveServer;
let browser: Browser;
let script: string;

describe.skipIf(!existsSync(CHROMIUM))('in Chromium', () => {
  beforeAll(async () => {
    [script, browser, server] = await Promise.all([
      bundled('../live/list-page.tsx'),
      chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] }),
      LiveServer.start(),
    ]);
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    site.close();
    await server?.stop();
  });

  test('[J315, J316] 60 updates a second touch the rows that change, and no other', async () => {
    const app = await LiveApp.make(server);
    const attrs = [ID, TITLE, RANK].map((attr): Step => ['add-attr', attr]);
    const rows = Array.from({ length: ROWS }, (_, number) => made(number)).flat();
    expect(await app.ask('transact', { 'tx-steps': [...attrs, ...rows] })).toMatchObject({
      op: 'transact-ok',
    });
    const { page, sent, heard } = await opened(app);
    await page.waitForFunction((rows) => window.list.shown().length === rows, ROWS);
    await page.evaluate(() => window.list.take());
    const asked = sent.length;
    heard.length = 0;

    const startedAt = performance.now();
    await written(app);
    const seconds = (performance.now() - startedAt) / 1_000;
    await page.waitForFunction((updates) => window.list.touched() >= updates, UPDATES);
    const counts = await page.evaluate(() => window.list.take());
    tell(counts, seconds, heard);
    expect(await page.evaluate(() => window.list.shown())).toEqual(afterAllUpdates());

    const moves = Math.ceil(UPDATES / MOVES_EVERY);
    const changed = Array.from({ length: UPDATES }, (_, number) => [entity(rowOf(number)), 1]);
    expect(counts.renders).toEqual(Object.fromEntries(changed));
    const { texts, added, removed, others } = counts;
    const touched = { texts: UPDATES - moves, added: moves, removed: moves, others: 0 };
    expect({ texts, added, removed, others }).toEqual(touched);
    expect(counts.lists).toBeLessThanOrEqual(UPDATES);

    // Nothing was asked again, and no answer came whole.
    expect(sent.slice(asked)).toEqual([]);
    const refreshes = heard.filter(({ op }) => op === 'refresh-ok');
    expect(refreshes.length).toBeLessThanOrEqual(UPDATES);
    const computations = refreshes.flatMap((message) => message.computations as object[]);
    expect(computations.filter((one) => !('delta' in one))).toEqual([]);
    await page.context().close();
    app.close();
  });
});

declare global {
  interface Window {
    list: ListPage;
  }
}

/** The row that an update changes: far from the one before, and never the last of the list. */
function rowOf(update: number): number {
  return (update * 7) % (ROWS - 1);
}

function isMove(update: number): boolean {
  return update % MOVES_EVERY === 0;
}

function made(number: number): Step[] {
  return [
    ['add-triple', entity(number), ID.id, entity(number)],
    ['add-triple', entity(number), TITLE.id, `Task ${number}`],
    ['add-triple', entity(number), RANK.id, number],
  ];
}

/** Writes all updates, evenly spread however late timers are, and waits for none of them. */
async function written(app: LiveApp): Promise<void> {
  const applied: Promise<boolean>[] = [];
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const due = Math.ceil(((performance.now() - startedAt) / 1_000) * PER_SECOND);
      while (applied.length < Math.min(due, UPDATES))
        applied.push(app.transact([stepOf(applied.length)]));
      if (applied.length < UPDATES) return;
      clearInterval(timer);
      resolve();
    }, 1_000 / PER_SECOND);
  });
  expect(await Promise.all(applied)).not.toContain(false);
}

function stepOf(update: number): Step {
  const row = entity(rowOf(update));
  return isMove(update)
    ? ['add-triple', row, RANK.id, ROWS + update]
    : ['add-triple', row, TITLE.id, `Changed ${update}`];
}

function afterAllUpdates(): [string, string][] {
  const texts = new Map(Array.from({ length: ROWS }, (_, number) => [number, `Task ${number}`]));
  for (let update = 0; update < UPDATES; update++) {
    const row = rowOf(update);
    const text = texts.get(row)!;
    if (isMove(update)) texts.delete(row);
    texts.set(row, isMove(update) ? text : `Changed ${update}`);
  }
  return [...texts].map(([number, text]) => [entity(number), text]);
}

async function opened(app: LiveApp) {
  const sent: string[] = [];
  const heard: Record<string, unknown>[] = [];
  const page = await browser.newPage();
  page.on('websocket', (socket) => {
    socket.on('framesent', ({ payload }) => sent.push(String(payload)));
    socket.on('framereceived', ({ payload }) =>
      heard.push(...[JSON.parse(String(payload)) as Record<string, unknown>].flat()),
    );
  });
  await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}`);
  await page.evaluate(([id, url]) => window.list.open(id!, url!), [app.id, server.url]);
  return { page, sent, heard };
}

/** How smooth it was: no bound stands on it, for it is the machine's too. */
function tell({ lists, longTasks, frames }: Counts, seconds: number, heard: object[]): void {
  const sorted = [...frames].sort((one, other) => one - other);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)]!.toFixed(1);
  console.log(
    `${UPDATES} updates of ${ROWS} rows at ${(UPDATES / seconds).toFixed(1)} a second: ` +
      `${heard.length} messages, ${lists} renders of the list, ` +
      `${longTasks.length} long tasks${longTasks.map((ms) => ` ${ms} ms`).join()}; ` +
      `${frames.length} frames of ${at(0.5)} ms, p95 ${at(0.95)}, p99 ${at(0.99)}, max ${at(1)}`,
  );
}
