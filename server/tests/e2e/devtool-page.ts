/** The page of devtool.spec.ts: an app with todos, and the panel. */
import { id, init } from 'tricedb';
import { mountDevtool } from 'tricedb/devtool';

/** To whom forbidden todos belong. */
const PERSON = '01a227e1-0000-7000-8000-000000000001';

const { app, server, open } = Object.fromEntries(new URLSearchParams(location.search));
const db = init({ appId: app!, server: server! });

const list = document.querySelector('ul')!;
const TODOS = { todos: { $: { order: { serverCreatedAt: 'asc' } }, owner: {} } } as const;
db.subscribeQuery(TODOS, ({ data }) => {
  const items = (data?.['todos'] ?? []).map((todo) => {
    const item = document.createElement('li');
    item.textContent = todo['title'];
    return item;
  });
  list.replaceChildren(...items);
});
db.subscribeQuery({ people: {} }, () => {});

const form = document.querySelector('form')!;
form.addEventListener('submit', (event) => {
  event.preventDefault();
  const field = form.querySelector('input')!;
  const todo = db.tx['todos']![id()]!.create({ title: field.value, done: false });
  const chunk = field.value === 'forbidden' ? todo.link({ owner: PERSON }) : todo;
  db.transact(chunk).catch(() => {});
  field.value = '';
});

mountDevtool(db, { isOpen: open !== undefined });

/** How long a flood lasts. */
const FLOOD_MS = 3_000;

/** Writes every 8 ms, each of them a dozen events. Returns how it went. */
async function flood(): Promise<{ events: number; frames: number; longMs: number }> {
  const told = { events: 0, frames: 0, longMs: 0 };
  const stop = db.trace(() => {
    told.events += 1;
  });
  told.events = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) told.longMs = Math.max(told.longMs, duration);
  });
  observer.observe({ type: 'longtask' });
  const todo = id();
  const write = setInterval(() => {
    void db.transact(db.tx['todos']![todo]!.update({ title: `${told.events}`, done: false }));
  }, 8);
  const endAt = performance.now() + FLOOD_MS;
  while (performance.now() < endAt) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    told.frames += 1;
  }
  clearInterval(write);
  stop();
  observer.disconnect();
  return told;
}

declare global {
  interface Window {
    flood: typeof flood;
  }
}

Object.assign(window, { flood });
