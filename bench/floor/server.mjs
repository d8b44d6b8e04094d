// The floor: a hand-written Node server for exactly the bench's queries. No rules, no schema, no
// checks, no reconnects: durable rows in SQLite and messages out. It speaks just enough of the
// protocol that one client drives both.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import path from 'node:path';

import Database from 'better-sqlite3';
import { WebSocketServer } from 'ws';

import { sendPart, streamHandlers, unfollow } from './streams.mjs';

const COLUMNS = { todos: ['title', 'done', 'priority', 'label', 'owner'], people: ['name'] };
const dataDir = process.argv[2];
const apps = new Map();

function attrId(n) {
  return `aa000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
}

const attrs = [];
const attrByName = new Map();
const columnByAttr = new Map();
for (const [table, columns] of Object.entries(COLUMNS)) {
  for (const column of ['id', ...columns]) {
    const id = attrId(attrs.length + 1);
    const isLink = column === 'owner';
    attrs.push({
      id,
      'forward-identity': [attrId(100 + attrs.length), table, column],
      ...(isLink ? { 'reverse-identity': [attrId(200 + attrs.length), 'people', 'todos'] } : {}),
      'value-type': isLink ? 'ref' : 'blob',
      cardinality: 'one',
      'unique?': column === 'id',
      'index?': true,
      'required?': false,
      'inferred-types': null,
      catalog: 'user',
    });
    attrByName.set(`${table}.${column}`, id);
    columnByAttr.set(id, { table, column });
  }
}

function openApp() {
  const id = randomUUID();
  const db = new Database(path.join(dataDir, `${id}.db`));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  const upserts = new Map();
  for (const [table, columns] of Object.entries(COLUMNS)) {
    db.exec(
      `create table ${table} (id text primary key, created integer, ${columns.join(', ')})` +
        ' without rowid',
    );
    const inserts = (column) =>
      column === 'id'
        ? `insert into ${table} (id, created) values (?, ?) on conflict (id) do nothing`
        : `insert into ${table} (id, ${column}) values (?, ?)` +
          ` on conflict (id) do update set ${column} = excluded.${column}`;
    for (const column of ['id', ...columns])
      upserts.set(`${table}.${column}`, db.prepare(inserts(column)));
  }
  for (const column of ['label', 'owner', 'priority'])
    db.exec(`create index todos_${column} on todos (${column})`);
  const app = {
    id,
    db,
    dataDir,
    upserts,
    txId: 1,
    queries: new Map(),
    byValue: new Map(),
    reads: new Map(),
    rooms: new Map(),
    streams: new Map(),
  };
  apps.set(id, app);
  return app;
}

const sqlValue = (value) => (typeof value === 'boolean' ? Number(value) : value);

function prepared(app, sql) {
  if (!app.reads.has(sql)) app.reads.set(sql, app.db.prepare(sql));
  return app.reads.get(sql);
}

function runQuery(app, q) {
  const { $ = {}, owner } = q.todos;
  const [filter] = Object.entries($.where ?? {});
  const [order] = Object.entries($.order ?? {});
  const sql =
    `select * from todos${filter ? ` where ${filter[0]} = ?` : ''}` +
    ` order by ${order ? `${order[0]} ${order[1]}` : 'created'}` +
    ($.limit ? ` limit ${$.limit}` : '');
  const rows = prepared(app, sql).all(...(filter ? [sqlValue(filter[1])] : []));
  const triples = [];
  const add = (table, row) => {
    for (const column of ['id', ...COLUMNS[table]]) {
      if (row[column] === null) continue;
      const value = column === 'done' ? row.done === 1 : row[column];
      triples.push([row.id, attrByName.get(`${table}.${column}`), value, row.created]);
    }
  };
  const owners = new Set();
  for (const row of rows) {
    add('todos', row);
    if (owner && row.owner) owners.add(row.owner);
  }
  for (const id of owners)
    add('people', prepared(app, 'select * from people where id = ?').get(id));
  return [{ data: { 'datalog-result': { 'join-rows': [triples] } }, 'child-nodes': [] }];
}

function valueKey(column, value) {
  return `${column} ${value}`;
}

function subscribe(app, socket, q) {
  const key = JSON.stringify(q);
  if (!app.queries.has(key)) {
    const [filter] = Object.entries(q.todos.$?.where ?? {});
    const index = filter ? valueKey(...filter) : '*';
    const query = { q, key, index, sockets: new Set() };
    app.queries.set(key, query);
    if (!app.byValue.has(index)) app.byValue.set(index, new Set());
    app.byValue.get(index).add(query);
  }
  const query = app.queries.get(key);
  query.sockets.add(socket);
  return query;
}

// A query that nobody listens to any more is forgotten.
function unsubscribe(app, socket, query) {
  query.sockets.delete(socket);
  if (query.sockets.size) return;
  app.queries.delete(query.key);
  app.byValue.get(query.index).delete(query);
  if (!app.byValue.get(query.index).size) app.byValue.delete(query.index);
}

function transact(app, steps) {
  const touched = new Set();
  app.db.exec('begin immediate');
  for (const [, entity, attr, value] of steps) {
    const { table, column } = columnByAttr.get(attr);
    app.upserts
      .get(`${table}.${column}`)
      .run(entity, column === 'id' ? Date.now() : sqlValue(value));
    if (table === 'todos') touched.add(entity);
  }
  const affected = new Set();
  // Whoever listens without a filter hears everything; the others by the row's label and owner.
  if (app.queries.size) {
    for (const entity of touched) {
      const row = prepared(app, 'select label, owner from todos where id = ?').get(entity);
      for (const key of [valueKey('label', row.label), valueKey('owner', row.owner), '*']) {
        for (const query of app.byValue.get(key) ?? []) affected.add(query);
      }
    }
  }
  app.db.exec('commit');
  app.txId += 1;
  return affected;
}

// Moves of one turn of the loop leave together: one text for everybody in the room.
function enter(session, room, data) {
  const { app } = session;
  if (!app.rooms.has(room)) app.rooms.set(room, { members: new Map(), edits: [] });
  const { members } = app.rooms.get(room);
  session.rooms.add(room);
  members.set(session.id, { socket: session.socket, data });
}

function tell(app, name, edit) {
  const room = app.rooms.get(name);
  if (room.edits.push(edit) > 1) return;
  setImmediate(() => {
    const text = JSON.stringify({ op: 'patch-presence', 'room-id': name, edits: room.edits });
    room.edits = [];
    for (const { socket } of room.members.values()) socket.send(text);
  });
}

function leave(session, name) {
  const room = session.app.rooms.get(name);
  room.members.delete(session.id);
  if (room.members.size) tell(session.app, name, [[session.id], '-']);
  else session.app.rooms.delete(name);
}

const handlers = {
  ...streamHandlers,
  'join-room'(session, { 'room-id': room, data }) {
    enter(session, room, data);
    const entry = { 'peer-id': session.id, user: null, data };
    tell(session.app, room, [[session.id], '+', entry]);
    return { op: 'join-room-ok', 'room-id': room };
  },
  'set-presence'(session, { 'room-id': room, data }) {
    session.app.rooms.get(room).members.get(session.id).data = data;
    tell(session.app, room, [[session.id, 'data'], 'r', data]);
    return { op: 'set-presence-ok', 'room-id': room };
  },
  init(session, message) {
    session.app = apps.get(message['app-id']);
    return { op: 'init-ok', 'session-id': session.id, attrs, 'app-status': { status: 'active' } };
  },
  'add-query'({ app, socket, queries }, { q }) {
    queries.add(subscribe(app, socket, q));
    return { op: 'add-query-ok', q, result: runQuery(app, q), 'processed-tx-id': app.txId };
  },
  'remove-query'({ app, socket, queries }, { q }) {
    const query = app.queries.get(JSON.stringify(q));
    if (queries.delete(query)) unsubscribe(app, socket, query);
    return { op: 'remove-query-ok', q };
  },
  transact({ app, socket }, message) {
    const affected = transact(app, message['tx-steps']);
    socket.send(
      JSON.stringify({
        op: 'transact-ok',
        'client-event-id': message['client-event-id'],
        'tx-id': app.txId,
      }),
    );
    for (const { q, sockets } of affected) {
      if (!sockets.size) continue;
      const computations = [{ 'instaql-query': q, 'instaql-result': runQuery(app, q) }];
      const text = JSON.stringify({ op: 'refresh-ok', 'processed-tx-id': app.txId, computations });
      for (const subscriber of sockets) subscriber.send(text);
    }
    return undefined;
  },
};

const server = createServer((request, response) => {
  if (request.url.startsWith('/parts/')) return sendPart(request, response);
  response.setHeader('content-type', 'application/json');
  if (request.url === '/health') return response.end('{}');
  const app = openApp();
  return response.end(
    JSON.stringify({ app: { id: app.id, 'admin-token': randomUUID() }, expires_ms: 0 }),
  );
});
new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket, request) => {
  const id = randomUUID();
  const host = request.headers.host;
  const session = { id, socket, host, app: undefined, queries: new Set(), rooms: new Set() };
  socket.on('message', (data) => {
    const message = JSON.parse(data);
    const answer = handlers[message.op](session, message);
    if (answer)
      socket.send(JSON.stringify({ 'client-event-id': message['client-event-id'], ...answer }));
  });
  socket.on('close', () => {
    for (const query of session.queries) unsubscribe(session.app, socket, query);
    for (const room of session.rooms) leave(session, room);
    unfollow(session);
  });
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`floor is ready at http://127.0.0.1:${server.address().port}\n`);
});
process.on('SIGTERM', () => process.exit(0));
