import { expect } from '@playwright/test';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const ROOT = resolve(import.meta.dirname, '../../..');
const READY = /trice is ready at (http:\/\/\S+)/;

export interface App {
  readonly id: string;
  readonly adminToken: string;
}

/** A `trice serve` of its own, with a data directory that outlives a kill and goes at `remove`. */
export class Server {
  private child: ChildProcess | null = null;
  private log = '';
  private printed = '';

  private constructor(
    private readonly dataDir: string,
    public url: string,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  /** `env` adds to the settings that the process gets from its environment. */
  static async start(env: Readonly<Record<string, string>> = {}): Promise<Server> {
    const server = new Server(await mkdtemp(join(tmpdir(), 'trice-e2e-')), '', env);
    await server.run(0);
    return server;
  }

  /** What the process printed or logged and this pattern captures, once it is there. */
  async told(pattern: RegExp): Promise<string> {
    let found: string | undefined;
    const look = () => (found = pattern.exec(this.printed + this.log)?.[1]);
    await expect.poll(look, { message: String(pattern) }).toBeDefined();
    return found!;
  }

  /** Start again on the same port with the same data. */
  async restart(): Promise<void> {
    await this.run(Number(new URL(this.url).port));
  }

  /** End the process at once, as a power cut would; it gets no chance to finish anything. */
  async kill(): Promise<void> {
    const child = this.child;
    this.child = null;
    if (child === null || child.exitCode !== null) return;
    const exited = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await exited;
  }

  async remove(): Promise<void> {
    await this.kill();
    // A process that makes small pictures may outlive its server for a moment.
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  /** Make a throw-away app. `schema` is an `i.schema(…)`; it travels as JSON. */
  async createApp(title: string, schema: object, rules?: object): Promise<App> {
    const body = { title, schema, rules: rules && { code: rules } };
    const answer = await this.post('/dash/apps/ephemeral', body);
    return { id: answer.app.id, adminToken: answer.app['admin-token'] };
  }

  /** Run `trice accounts` on this server; returns the last line it prints, such as a token. */
  async accounts(...args: string[]): Promise<string> {
    const whole = ['accounts', ...args, '--data-dir', this.dataDir];
    const { stdout } = await promisify(execFile)(join(ROOT, '.venv/bin/trice'), whole);
    return stdout.trimEnd().split('\n').at(-1)!;
  }

  /** Ask with the app's admin token: what the server has, whatever the pages show. */
  async query(app: App, query: object): Promise<any> {
    return this.post('/admin/query', { query }, app);
  }

  /** Write with the app's admin token. */
  async transact(app: App, steps: readonly unknown[]): Promise<void> {
    await this.post('/admin/transact', { steps }, app);
  }

  /** End every session of a user of the app. */
  async signOut(app: App, userId: string): Promise<void> {
    await this.post('/admin/sign_out', { id: userId }, app);
  }

  private async post(path: string, body: object, app?: App): Promise<any> {
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (app !== undefined) {
      headers['app-id'] = app.id;
      headers['authorization'] = `Bearer ${app.adminToken}`;
    }
    const response = await fetch(this.url + path, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`POST ${path} answered ${response.status}: ${text}`);
    return JSON.parse(text);
  }

  private async run(port: number): Promise<void> {
    const child = spawn(
      join(ROOT, '.venv/bin/trice'),
      ['serve', '--port', String(port), '--data-dir', this.dataDir, '--sample', 'examples'],
      { cwd: ROOT, env: { ...process.env, ...this.env }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.child = child;
    child.stderr.on('data', (bytes) => (this.log += bytes));
    this.url = await new Promise<string>((ready, fail) => {
      createInterface(child.stdout).on('line', (line) => {
        this.printed += `${line}\n`;
        const match = READY.exec(line);
        if (match?.[1] !== undefined) ready(match[1].replace(/\/$/, ''));
      });
      child.once('error', fail);
      child.once('exit', (code, signal) => {
        fail(new Error(`trice serve ended (${code ?? signal}) before it was ready.\n${this.log}`));
      });
    });
  }
}
