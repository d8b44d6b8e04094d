// The protocol by hand: a session over a WebSocket, message by message.
import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';

import { until, within } from './wait.mjs';

export class RawSession {
  constructor(server, appId, { perMessageDeflate = false } = {}) {
    const url = `${server.url.replace('http', 'ws')}/runtime/session?app_id=${appId}`;
    this.appId = appId;
    this.socket = new WebSocket(url, { perMessageDeflate, maxPayload: 1 << 28 });
    this.received = [];
    this.closed = undefined;
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('open', resolve);
      this.socket.once('error', reject);
    });
    this.opened.catch(() => {});
    this.socket.on('message', (data) => {
      const parsed = JSON.parse(data.toString());
      this.received.push(...(Array.isArray(parsed) ? parsed : [parsed]));
    });
    this.socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }));
    this.socket.on('error', () => {});
  }

  /** Open, init, and keep `this.attrs`, `this.sessionId`. */
  static async connect(server, appId, { init = {}, ...options } = {}) {
    const session = new RawSession(server, appId, options);
    await within(session.opened, 'WebSocket handshake');
    const ok = await session.ask({
      op: 'init',
      'app-id': appId,
      versions: { '@instantdb/core': 'v1.0.67' },
      ...init,
    });
    if (ok.op !== 'init-ok') throw new Error(`init answered ${JSON.stringify(ok)}`);
    session.attrs = ok.attrs;
    session.sessionId = ok['session-id'];
    session.initOk = ok;
    return session;
  }

  /** Send one message (object, or text as it is); returns its client-event-id. */
  send(message) {
    if (typeof message === 'string' || Buffer.isBuffer(message)) {
      this.socket.send(message);
      return undefined;
    }
    const eventId = message['client-event-id'] ?? randomUUID();
    this.socket.send(JSON.stringify({ 'client-event-id': eventId, ...message }));
    return eventId;
  }

  /** Send and wait for the message that echoes its client-event-id. */
  async ask(message) {
    const start = this.received.length;
    const eventId = this.send(message);
    return this.next((m) => m['client-event-id'] === eventId, `answer to ${message.op}`, {
      start,
    });
  }

  /** The first message after position `start` that passes `test`. */
  next(test, what = 'a message', { start = 0 } = {}) {
    return until(
      () => {
        const found = this.received.slice(start).find(test);
        if (!found && this.closed)
          throw new Error(`socket closed ${JSON.stringify(this.closed)} before ${what}`);
        return found;
      },
      () => `${what}; received ${JSON.stringify(this.received.slice(start)).slice(0, 800)}`,
    );
  }

  /** The id of the attr `label` of `etype`, forward or reverse. */
  attr(etype, label) {
    const found = this.findAttr(etype, label);
    if (!found) throw new Error(`the catalog has no ${etype}.${label}`);
    return found.id;
  }

  findAttr(etype, label) {
    const isNamed = (identity) => identity?.[1] === etype && identity?.[2] === label;
    return this.attrs.find((a) => isNamed(a['forward-identity']) || isNamed(a['reverse-identity']));
  }

  /** Transact `steps`; the transact-ok, or an Error carrying the error message. */
  async transact(steps, more = {}) {
    return this.ask({ op: 'transact', 'tx-steps': steps, created: 1, order: 1, ...more });
  }

  /** Steps that create an entity: the id triple first, then one add-triple per field. */
  create(etype, id, fields, opts) {
    const tail = opts ? [opts] : [];
    return [
      ['add-triple', id, this.attr(etype, 'id'), id, ...tail],
      ...Object.entries(fields).map(([label, value]) => [
        'add-triple',
        id,
        this.attr(etype, label),
        value,
        ...tail,
      ]),
    ];
  }

  close() {
    this.socket.terminate();
  }
}

/** Every triple of an add-query-ok / computation result. */
export function triplesOf(result) {
  const triples = [];
  for (const node of result) {
    for (const row of node.data['datalog-result']['join-rows']) triples.push(...row);
    triples.push(...triplesOf(node['child-nodes']));
  }
  return triples;
}
