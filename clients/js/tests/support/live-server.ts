/** A real server over loopback, and a session of an admin on it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import type { Step } from '../../src/pending/steps.ts';
import type { WireAttr } from '../../src/schema/attr.ts';
import type { Triple } from '../../src/store/bag.ts';

const ROOT = join(import.meta.dirname, '../../../..');
const COMMAND = process.env.TRICE_COMMAND ?? join(ROOT, '.venv/bin/trice');

/** `trice serve` with a data directory of its own, removed by `stop`. */
export class LiveServer {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(url: string, child: ChildProcess, directory: string) {
    this.url = url;
    this.#child = child;
    this.#directory = directory;
  }

  /** Stops it; what is returned starts it again, on its port and data. */
  async pause(): Promise<() => Promise<LiveServer>> {
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
    return () => LiveServer.#start(this.#directory, new URL(this.url).port);
  }

  static async start(): Promise<LiveServer> {
    return LiveServer.#start(await mkdtemp(join(tmpdir(), 'tricedb-live-')), '0');
  }

  static async #start(directory: string, port: string): Promise<LiveServer> {
    const args = ['serve', '--host', '127.0.0.1', '--port', port, '--data-dir', directory];
    const child = spawn(COMMAND, [...args, '--no-ephemeral-quotas']);
    child.stderr.resume(); // its log: a pipe that nobody reads would stop it
    let said = '';
    for await (const bytes of child.stdout) {
      said += String(bytes);
      const ready = /trice is ready at (http:\/\/\S+)/.exec(said);
      if (ready) return new LiveServer(ready[1]!, child, directory);
    }
    throw new Error(`the server did not start:\n${said}`);
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** What a request is answered; throws unless it is 200. */
  async post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<unknown> {
    const response = await fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer;
  }
}

interface Node {
  readonly data: { readonly 'datalog-result': { readonly 'join-rows': readonly Triple[][] } };
  readonly 'child-nodes': readonly Node[];
}

/** An app of its own, and one WebSocket with its admin token. */
export class LiveApp {
  readonly id: string;
  readonly #server: LiveServer;
  readonly #headers: Record<string, string>;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<string, (message: Record<string, unknown>) => void>();
  #count = 0;

  private constructor(server: LiveServer, appId: string, token: string, socket: WebSocket) {
    this.id = appId;
    this.#server = server;
    this.#headers = { 'app-id': appId, authorization: `Bearer ${token}` };
    this.#socket = socket;
    socket.on('message', (bytes) => {
      const message = JSON.parse(String(bytes)) as Record<string, unknown>;
      this.#waiting.get(String(message['client-event-id']))?.(message);
    });
  }

  static async make(server: LiveServer): Promise<LiveApp> {
    const made = await server.post('/dash/apps/ephemeral', { title: 'live' });
    const { app } = made as { app: { id: string; 'admin-token': string } };
    const url = `${server.url.replace('http', 'ws')}/runtime/session?app_id=${app.id}`;
    const socket = new WebSocket(url);
    await once(socket, 'open');
    const live = new LiveApp(server, app.id, app['admin-token'], socket);
    await live.ask('init', { 'app-id': app.id, '__admin-token': app['admin-token'] });
    return live;
  }

  close(): void {
    this.#socket.close();
  }

  /** The answer to a message, an error too. */
  async ask(op: string, body: Record<string, unknown>): Promise<Record<string, unknown>> {
    const id = `e${++this.#count}`;
    const answer = new Promise<Record<string, unknown>>((resolve) =>
      this.#waiting.set(id, resolve),
    );
    this.#socket.send(JSON.stringify({ op, 'client-event-id': id, ...body }));
    const told = await answer;
    this.#waiting.delete(id);
    return told;
  }

  /** Whether a transaction was applied. */
  async transact(steps: readonly Step[]): Promise<boolean> {
    return (await this.ask('transact', { 'tx-steps': steps })).op === 'transact-ok';
  }

  /** All attrs that the app has. */
  async attrs(): Promise<WireAttr[]> {
    const { schema } = (await this.#server.post('/admin/schema', {}, this.#headers)) as {
      schema: { attrs: WireAttr[] };
    };
    return schema.attrs;
  }

  /** The triples of an answer. */
  async triples(q: Record<string, unknown>): Promise<Triple[]> {
    const told = await this.ask('add-query', { q });
    await this.ask('remove-query', { q });
    const triples = new Map<string, Triple>();
    const collect = (node: Node): void => {
      for (const row of node.data['datalog-result']['join-rows'])
        for (const triple of row) triples.set(JSON.stringify(triple.slice(0, 3)), triple);
      node['child-nodes'].forEach(collect);
    };
    (told.result as Node[]).forEach(collect);
    return [...triples.values()];
  }

  /** The rows that the server finds. */
  async query(query: Record<string, unknown>): Promise<unknown> {
    return this.#server.post('/admin/query', { query }, this.#headers);
  }
}
