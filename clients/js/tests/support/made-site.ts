/** Data over HTTP for an app's own server, and browsers on the pages that it makes. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import type { Browser, Page } from '@playwright/test';
import { Clock } from '../simulation/clock.ts';
import { Server } from '../simulation/server.ts';
import { build, install } from './built.ts';
import { ADA } from './page-stage.ts';
import { Random } from './random.ts';
import { SHELF_ATTRS, SHELF_TRIPLES } from './shelf.ts';

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** An app of a framework, which is built and then serves. */
export interface SiteProject {
  /** Its files by path. */
  readonly files: Readonly<Record<string, string>>;
  /** Arguments of Node that build it, and that serve it. */
  readonly build: readonly string[];
  readonly start: readonly string[];
  /** What it prints where it serves: the first group is its origin. */
  readonly ready: RegExp;
  /** Variables that tell it the address of the data's server. */
  environment(server: string): Record<string, string>;
  /** Gives the project what it depends on. */
  prepare(project: string): void;
}

/**
 * An app built with the tarball, its own server, and the data's server, as the app's server and
 * browsers reach it.
 */
export class MadeSite {
  origin = '';
  #folders: string[] = [];
  #site: ChildProcess | undefined;
  readonly data = new Server(new Clock(), new Random(1), SHELF_ATTRS, SHELF_TRIPLES);
  /** The bearers of the questions of the app's server. */
  readonly bearers: (string | undefined)[] = [];
  readonly #http = createServer((request, response) => {
    let text = '';
    request.on('data', (part) => (text += String(part)));
    request.on('end', () => {
      this.bearers.push(request.headers.authorization);
      const { query } = JSON.parse(text) as { query: never };
      const answer = JSON.stringify(this.data.page(query));
      response.setHeader('content-type', 'application/json').end(answer);
    });
  });

  /** Builds an app, and starts it. */
  async open({ files, build: building, start, ready, ...given }: SiteProject): Promise<void> {
    const built = build();
    const project = install(built);
    this.#folders = [built, project];
    given.prepare(project);
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(project, name)), { recursive: true });
      writeFileSync(join(project, name), text.trimStart());
    }
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve));
    const server = `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
    const env = { ...process.env, NODE_ENV: 'production', ...given.environment(server) };
    const options = { cwd: project, env, stdio: 'pipe' } as const;
    try {
      execFileSync('node', building, options);
    } catch (error) {
      const { stdout, stderr } = error as { stdout: Buffer; stderr: Buffer };
      throw new Error(`${building.join(' ')}: ${stdout.toString()}${stderr.toString()}`);
    }
    this.#site = spawn('node', start, options);
    this.origin = await originOf(this.#site, ready);
  }

  close(): void {
    this.#site?.kill();
    this.#http.close();
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true });
  }

  /** A page whose client talks with the data's server. `said`: what the console shows. */
  async page(browser: Browser) {
    const page: Page = await browser.newPage();
    const said: string[] = [];
    const sent: Record<string, unknown>[] = [];
    page.on('console', (message) => said.push(message.text()));
    page.on('pageerror', (error) => said.push(String(error)));
    await page.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }));
    await page.routeWebSocket(/runtime\/session/, (socket) => {
      const end = this.data.accept({
        send: (text) => socket.send(text),
        close: (code) => void socket.close({ code }),
      });
      socket.onMessage((text) => {
        sent.push(JSON.parse(String(text)) as Record<string, unknown>);
        end.received(String(text));
      });
      socket.onClose(() => end.closed());
    });
    return { page, said, sent };
  }
}

/** The cookie that an app's route gives to a browser in which Ada is signed in. */
export async function cookieOfAda(route: string): Promise<string> {
  const synced = await fetch(route, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'sync-user', appId: 'app', user: ADA }),
  });
  if (synced.status !== 200) throw new Error(`${route}: ${synced.status} ${await synced.text()}`);
  return synced.headers.get('set-cookie')!.split(';')[0]!;
}

/** What a program prints until it says where it serves: the first group of `ready`. */
function originOf(site: ChildProcess, ready: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const look = (part: Buffer) => {
      said += part.toString();
      const found = ready.exec(said)?.[1];
      if (found) resolve(found);
    };
    site.stdout!.on('data', look);
    site.stderr!.on('data', look);
    site.on('exit', () => reject(new Error(said)));
  });
}
