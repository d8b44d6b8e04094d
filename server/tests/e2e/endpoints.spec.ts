import { expect, test, type BrowserContext, type Page } from "@playwright/test";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const TRICE =
  process.env["TRICE_COMMAND"] ??
  resolve(import.meta.dirname, "../../../.venv/bin/trice");

/** What a page of an app tries on the origin that served it; it writes what it got into itself. */
const SCRIPT = `
async function tried(work) {
  try { return String(await work()); } catch (failure) { return 'refused: ' + failure.name; }
}
const inFrame = (path) => new Promise((done) => {
  const frame = document.createElement('iframe');
  frame.onload = () => done(tried(() => frame.contentWindow.localStorage.getItem('token')));
  frame.onerror = () => done('refused');
  frame.src = path;
  document.body.append(frame);
});
(async () => {
  const told = {
    origin: self.origin,
    storage: await tried(() => localStorage.getItem('token')),
    cookie: await tried(() => document.cookie),
    database: await tried(() => indexedDB.open('x') && 'opened'),
    worker: await tried(() => navigator.serviceWorker.register('sw.js').then(() => 'installed')),
    credentials: await tried(() =>
      fetch('/http/APP/rights', { credentials: 'include' }).then((a) => a.text())),
    plain: await tried(() => fetch('/runtime/functions', {
      headers: { 'app-id': 'APP' } }).then((a) => a.status)),
    frame: await inFrame('/dash'),
    opened: await tried(() => window.open('/dash').localStorage.getItem('token')),
    opener: await tried(() => window.opener && window.opener.localStorage.getItem('token')),
  };
  document.body.textContent = JSON.stringify(told);
})();
`;

const HOOKS = `
from trice.functions import Action, Request, Response, http

PAGE = "<!doctype html><meta charset=utf-8><body>"
SCRIPT = """${SCRIPT}"""

@http.get("/page", auth="none")
async def page(ctx: Action, request: Request) -> Response:
    app = request.url.split("/")[4]
    text = PAGE + "<script>" + SCRIPT.replace("APP", app) + "</script>"
    return Response(text, media_type="text/html", headers={
        "content-security-policy": "sandbox allow-scripts allow-same-origin"})

@http.get("/drawing.svg", auth="none")
async def drawing(ctx: Action, request: Request) -> Response:
    text = '<svg xmlns="http://www.w3.org/2000/svg"><script>document.documentElement.append('
    text += 'String(self.origin))</script></svg>'
    return Response(text, media_type="image/svg+xml")

@http.get("/sw.js", auth="none")
async def worker(ctx: Action, request: Request) -> Response:
    return Response("self.onfetch = () => {}", media_type="text/javascript")

@http.get("/rights", auth="none", cors=["*"])
async def rights(ctx: Action, request: Request) -> Response:
    return Response(repr("cookie" in request.headers))
`;

/** A project that `trice dev` serves, and its app. */
class Dev {
  private constructor(
    private readonly folder: string,
    private readonly child: ChildProcess,
    readonly url: string,
    readonly app: string,
  ) {}

  static async start(): Promise<Dev> {
    const folder = await mkdtemp(join(tmpdir(), "trice-e2e-"));
    await mkdir(join(folder, "functions"));
    await writeFile(join(folder, "trice.toml"), "");
    await writeFile(join(folder, "functions/hooks.py"), HOOKS);
    const child = spawn(TRICE, ["dev", folder, "--port", "0", "--yes"]);
    let printed = "";
    const [url, app] = await new Promise<[string, string]>((ready, fail) => {
      const hear = (line: string) => {
        printed += `${line}\n`;
        const url = /ready at (http:\/\/\S+)/.exec(printed)?.[1];
        const app = /^ +app (\S+)/m.exec(printed)?.[1];
        if (url !== undefined && app !== undefined)
          ready([url.replace(/\/$/, ""), app]);
      };
      createInterface(child.stdout).on("line", hear);
      createInterface(child.stderr).on("line", hear);
      child.once("exit", () => fail(new Error(`trice dev ended.\n${printed}`)));
    });
    const dev = new Dev(folder, child, url, app);
    await expect
      .poll(async () => (await fetch(dev.at("/sw.js"))).status)
      .toBe(200);
    return dev;
  }

  at(path: string): string {
    return `${this.url}/http/${this.app}${path}`;
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.child.once("exit", done));
    this.child.kill("SIGTERM");
    await ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A person who is signed in to the dashboard of this server, and opens a page of an app. */
async function visit(context: BrowserContext, dev: Dev): Promise<Page> {
  const dashboard = await context.newPage();
  await dashboard.goto(`${dev.url}/dash`);
  await dashboard.evaluate(() => {
    localStorage.setItem("token", "mine");
    document.cookie = "session=mine; path=/";
  });
  const opened = context.waitForEvent("page");
  await dashboard.evaluate(
    (address) => void window.open(address),
    dev.at("/page"),
  );
  return opened;
}

async function toldBy(page: Page): Promise<Record<string, string>> {
  await expect(page.locator("body")).toContainText('"opener"');
  return JSON.parse(await page.locator("body").innerText());
}

test("[FN528] a page of an app has nothing of the dashboard on its origin", async ({
  browser,
}) => {
  const dev = await Dev.start();
  const context = await browser.newContext();
  try {
    const told = await toldBy(await visit(context, dev));
    const refused = expect.stringMatching(
      /^refused: (SecurityError|TypeError)$/,
    );
    expect(told).toEqual({
      origin: "null",
      storage: refused,
      cookie: refused,
      database: refused,
      worker: refused,
      credentials: refused,
      plain: "200",
      frame: refused,
      opened: refused,
      opener: refused,
    });
    const drawing = await context.newPage();
    await drawing.goto(dev.at("/drawing.svg"));
    await expect(drawing.locator("svg")).toContainText("null");

    // The same page without the header of the server: what the test looks for can be found.
    await context.route("**/page", async (route) => {
      const answer = await route.fetch();
      const { "content-security-policy": _, ...headers } = answer.headers();
      await route.fulfill({ response: answer, headers });
    });
    const free = await toldBy(await visit(context, dev));
    expect(free).toMatchObject({
      origin: dev.url,
      storage: "mine",
      opener: "mine",
    });
    expect(free["cookie"]).toContain("session=mine");
    expect(free["credentials"]).toBe("False");
  } finally {
    await context.close();
    await dev.stop();
  }
});
