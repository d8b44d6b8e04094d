/** @vitest-environment happy-dom */
import { afterEach, expect, test, vi } from 'vitest';
import { partsOf } from '../../src/devtool/parts.ts';
import { type DevtoolOptions, mountDevtool } from '../../src/devtool/index.ts';
import { ROWS_MAX } from '../../src/devtool/sheet.ts';
import { entity, Stage } from '../support/stage.ts';

afterEach(() => document.body.replaceChildren());

/** The panel of a client, on a page whose frames come each 16 ms of the stage's clock. */
async function mounted(opts: DevtoolOptions = {}) {
  const stage = new Stage();
  const db = stage.device();
  let frames = 0;
  const globals = {
    document,
    CSSStyleSheet,
    requestAnimationFrame: (then: () => void) => {
      frames += 1;
      stage.clock.timer(16, then);
    },
  };
  const unmount = mountDevtool(db, opts, globals as never);
  await vi.dynamicImportSettled();
  const root = document.querySelector('[data-trice-devtool]')!.shadowRoot!;
  const button = (name: string) =>
    [...root.querySelectorAll('button')].find((one) => one.textContent === name)!;
  const titles = () => [...root.querySelectorAll('.title')].map(({ textContent }) => textContent);
  return { stage, db, root, button, titles, unmount, frames: () => frames };
}

test('[J244] a thousand events in a second are drawn ten times, in 200 rows', async () => {
  const { stage, db, root, button, frames } = await mounted({ isOpen: true });
  button('Timeline').click();
  await stage.settle();
  const { trace } = partsOf(db);
  const before = frames();
  for (let count = 0; count < 1_000; count++) {
    trace.say!('store', [{ table: 'meta', key: 'k', value: 'x'.repeat(count) }], 0, null);
    await stage.clock.pass(1);
  }
  expect(frames() - before).toBeGreaterThanOrEqual(8);
  expect(frames() - before).toBeLessThanOrEqual(10);
  await stage.clock.pass(500);
  expect(root.querySelectorAll('li').length).toBe(ROWS_MAX);
  expect(root.querySelector('.facts')!.textContent).toContain('999 B');
  const after = frames();
  await stage.clock.pass(60_000);
  // What is heard of the connection alone: a question each 5 s, and its answer.
  expect(frames() - after).toBeLessThan(60);
});

test('[J244] drawing takes a tenth of the time at most', async () => {
  const { stage, db, frames } = await mounted({ isOpen: true });
  await stage.settle();
  const { trace, environment } = partsOf(db);
  // Each look at this clock takes 60 ms.
  let now = 0;
  Object.assign(environment, { elapsedMs: () => (now += 60) });
  const before = frames();
  for (let count = 0; count < 300; count++) {
    trace.say!('store', [], 0, null);
    await stage.clock.pass(10);
  }
  expect(frames() - before).toBeGreaterThanOrEqual(4);
  expect(frames() - before).toBeLessThanOrEqual(6);
});

test('[J244] while it is closed no row is made, and while it is paused none changes', async () => {
  const { stage, db, root, button, titles } = await mounted();
  db.subscribeQuery({ books: {} }, () => {});
  await stage.settle();
  expect(root.querySelectorAll('li').length).toBe(0);
  expect(root.querySelector('section')!.hidden).toBe(true);
  (root.querySelector('.toggle') as HTMLElement).click();
  await stage.settle();
  expect(titles()).toEqual(['{books: {}}']);
  button('Pause').click();
  db.subscribeQuery({ tags: {} }, () => {});
  await stage.settle();
  expect(titles()).toEqual(['{books: {}}']);
  button('Pause').click();
  await stage.settle();
  expect(titles()).toEqual(['{tags: {}}', '{books: {}}']);
});

test('[J240] a row that stays keeps its elements, and what is open in it', async () => {
  const { stage, db, root, button } = await mounted({ isOpen: true });
  await stage.settle();
  button('Writes').click();
  db.transact(db.tx.books![entity(1)]!.create({ title: 'forbidden' })).catch(() => {});
  await stage.settle();
  const item = root.querySelector('li')!;
  const details = item.querySelector('details')!;
  details.open = true;
  details.dispatchEvent(new Event('toggle'));
  expect(item.querySelector('pre')!.textContent).toContain('"title": "forbidden"');
  expect(root.querySelector('.badge')!.textContent).toBe('1');
  button('Retry').click();
  expect(db.pending.list()[0]!.state).toBe('sent');
  await stage.settle();
  expect(root.querySelector('li')).toBe(item);
  expect(details.open).toBe(true);
  button('Drop').click();
  await stage.settle();
  expect(root.querySelectorAll('li').length).toBe(0);
  expect(root.querySelector('[role=status]')!.textContent).toBe('');
});

test('[J244] once it is taken away nothing is told, drawn or left', async () => {
  const { stage, db, unmount, frames } = await mounted({ isOpen: true });
  await stage.settle();
  unmount();
  expect(document.body.children.length).toBe(0);
  expect(partsOf(db).trace.say).toBeUndefined();
  const before = frames();
  db.subscribeQuery({ books: {} }, () => {});
  await stage.settle();
  expect(frames()).toBe(before);
});
