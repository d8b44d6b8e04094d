// Measures one client at one work, and prints {name: [figures]} as JSON. bench/sdk_clients.py runs
// it once for each client, work and round: node --expose-gc measure.mjs CLIENT WORK OPTIONS
// OPTIONS: {"url", "app", "rows", "times", "queries", "clients", "rate", "seconds"}, as JSON.
import { writeFileSync } from 'node:fs';
import { open, Writer } from './clients.mjs';
import { breakOff, meter, receivedBytes } from './metered-socket.mjs';

const [which, work, json] = process.argv.slice(2);
const options = JSON.parse(json);

/** So many first updates are not counted: functions are compiled while they run. */
const WARM_UP = 3;
const WAIT_MS = 60_000;

/** In every title, so that no row has it from an earlier run. */
const RUN = Math.random().toString(36).slice(2);

const works = { refresh, write, queries, bytes, memory, crowd };
const found = await works[work](options);
writeFileSync(1, JSON.stringify(found));
process.exit(0);

/** One field of one row changes: by another client, with `rows` rows in the query. */
async function refresh({ times }) {
  const watched = await watch({ todos: {} });
  const whole = { first_frame: [watched.handledMs] };
  const writer = await Writer.open(options);
  const figures = { frame: [], delivery: [] };
  for (let turn = 0; turn < times + WARM_UP; turn++) {
    const [id, title] = [watched.ids[(turn * 37) % watched.ids.length], `${RUN} ${turn}`];
    const sentAt = performance.now();
    writer.retitle(id, title);
    const { at, frameAt } = await watched.shows(id, title);
    if (turn < WARM_UP) continue;
    figures.frame.push(at - frameAt);
    figures.delivery.push(at - sentAt);
  }
  return { ...whole, ...figures };
}

/** One field of one row changes here: until it is shown, long before the server has it. */
async function write({ times }) {
  const watched = await watch({ todos: {} });
  const figures = { optimistic: [] };
  for (let turn = 0; turn < times + WARM_UP; turn++) {
    const [id, title] = [watched.ids[(turn * 37) % watched.ids.length], `${RUN} ${turn}`];
    const shown = watched.shows(id, title);
    const calledAt = performance.now();
    const taken = watched.db.transact(watched.db.tx.todos[id].update({ title }));
    const { at } = await shown;
    if (turn >= WARM_UP) figures.optimistic.push(at - calledAt);
    await taken;
    await pause(5);
  }
  return figures;
}

/** Many open queries that find the same rows, and one of these changes. */
async function queries({ queries: count, times }) {
  const first = await watch({ todos: {} });
  const rest = [];
  for (let n = 1; n < count; n++) rest.push(await watch(alike(n), first.db));
  const writer = await Writer.open(options);
  const figures = { frame: [] };
  for (let turn = 0; turn < times + WARM_UP; turn++) {
    const [id, title] = [first.ids[(turn * 37) % first.ids.length], `${RUN} ${turn}`];
    const before = busyMs();
    const shown = Promise.all([first, ...rest].map((one) => one.shows(id, title)));
    writer.retitle(id, title);
    await shown;
    await pause(5);
    if (turn >= WARM_UP) figures.frame.push(busyMs() - before);
  }
  return figures;
}

/** `rate` updates a second of rows of a query, and a reconnect after one more change. */
async function bytes({ rate, seconds }) {
  const watched = await watch({ todos: {} });
  const writer = await Writer.open(options);
  const count = rate * seconds;
  const [bytesBefore, busyBefore] = [receivedBytes(), busyMs()];
  for (let turn = 0; turn < count; turn++) {
    writer.retitle(watched.ids[(turn * 37) % watched.ids.length], `${RUN} ${turn}`);
    await pause(1000 / rate);
  }
  await watched.shows(watched.ids[((count - 1) * 37) % watched.ids.length], `${RUN} ${count - 1}`);
  const figures = {
    update: [(receivedBytes() - bytesBefore) / count],
    busy: [(busyMs() - busyBefore) / seconds],
  };
  const before = receivedBytes();
  breakOff();
  writer.retitle(watched.ids[0], `${RUN} away`);
  await watched.shows(watched.ids[0], `${RUN} away`);
  return { ...figures, reconnect: [receivedBytes() - before] };
}

/** What stays in memory, after the collector ran: `queries` queries that find the same rows. */
async function memory({ queries: count }) {
  const db = await open(which, options);
  const empty = await watch({ people: {} }, db, 0);
  const before = await heapBytes();
  const watched = [];
  for (let n = 0; n < count; n++) watched.push(await watch(n === 0 ? { todos: {} } : alike(n), db));
  const grown = (await heapBytes()) - before;
  if (watched.length + empty.ids.length !== count) throw new Error('not all is watched');
  return { heap: [grown / 1e6] };
}

/** Many clients in this process watch one query: from the write of another until each shows it. */
async function crowd({ clients, times }) {
  const all = [];
  for (let n = 0; n < clients; n++) all.push(await watch({ todos: {} }));
  const writer = await Writer.open(options);
  const delivery = [];
  for (let turn = 0; turn < times + WARM_UP; turn++) {
    const [id, title] = [all[0].ids[turn % all[0].ids.length], `${RUN} ${turn}`];
    const shown = Promise.all(all.map((one) => one.shows(id, title)));
    const sentAt = performance.now();
    writer.retitle(id, title);
    const found = await shown;
    if (turn < WARM_UP) continue;
    const times = found.map(({ at }) => at - sentAt).sort((one, other) => one - other);
    delivery.push(times[times.length >> 1]);
    await pause(20);
  }
  return { delivery };
}

/** A query of its own that finds every row. */
function alike(n) {
  return { todos: { $: { where: { priority: { $gte: -n } } } } };
}

/**
 * Subscribes, and waits until all rows are there.
 *
 * returns  {db, ids, handledMs, shows}: handledMs  from the frame of the answer to the callback
 */
async function watch(query, known, rows = options.rows) {
  const db = known ?? (await open(which, options));
  const [label] = Object.keys(query);
  let [ids, places, data] = [null, null, null];
  // Made when first used: what `memory` measures is the client's.
  const watched = {
    db,
    handledMs: 0,
    shows: null,
    get ids() {
      return (ids ??= data.map(({ id }) => id));
    },
  };
  let look = () => {};
  await within((resolve, reject) => {
    db.subscribeQuery(query, (state) => {
      if (state.error) return reject(new Error(state.error.message));
      data = state.data[label];
      if (data.length === rows) {
        watched.handledMs ||= performance.now() - meter.frameAt;
        resolve();
      }
      look();
    });
  }, `${rows} rows`);
  watched.shows = (id, title) =>
    within((resolve) => {
      places ??= new Map(watched.ids.map((one, place) => [one, place]));
      look = () => {
        if (data[places.get(id)].title !== title) return;
        const at = performance.now();
        look = () => {};
        resolve({ at, frameAt: meter.frameAt });
      };
      look();
    }, title);
  return watched;
}

function within(work, what) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what} did not come`)), WAIT_MS);
    work((value) => {
      clearTimeout(timer);
      resolve(value);
    }, reject);
  });
}

/** Bytes of live objects: what is only kept for a moment is let go first. */
async function heapBytes() {
  await pause(300);
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc();
    await pause(50);
  }
  return process.memoryUsage().heapUsed;
}

/** Milliseconds in which this process's one thread did something, so far. */
function busyMs() {
  return performance.eventLoopUtilization().active;
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
