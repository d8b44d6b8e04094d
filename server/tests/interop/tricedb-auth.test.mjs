// Passwords and passkeys of our own client, with a live server; passkeys in Chromium.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import "./support/browser.mjs";
import { chromium } from "@playwright/test";
import { build } from "vite";
import { init } from "../../../clients/js/dist/index.js";
import { startOutside } from "./support/outside.mjs";
import { createApp, post, startServer } from "./support/server.mjs";
import { rejection } from "./support/wait.mjs";

const CLIENT = fileURLToPath(
  new URL("../../../clients/js/dist/index.js", import.meta.url),
);
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

let outside;
let server;
let app;
/** The website: browsers count `localhost` as secure. */
let site;
const open = [];

before(async () => {
  outside = await startOutside();
  server = await startServer({ env: outside.env });
  app = await createApp(server);
  site = await startSite();
  await manage("sign-in-methods", { passwords: true, passkeys: true });
  const host = `localhost:${site.address().port}`;
  await manage("authorized_redirect_origins", {
    service: "generic",
    params: [host],
  });
});
after(async () => {
  for (const db of open) db.shutdown();
  site?.close();
  await server?.stop();
  outside?.stop();
});

async function manage(where, body) {
  const headers = { authorization: `Bearer ${app.adminToken}` };
  const answer = await post(
    `${server.url}/dash/apps/${app.id}/${where}`,
    body,
    headers,
  );
  assert.equal(answer.status, 200, answer.text);
}

function connect() {
  const db = init({ appId: app.id, server: server.url });
  open.push(db);
  return db;
}

/** The code in the newest mail to an address, other than `previous`. */
async function codeTo(db, email, previous) {
  await db.auth.sendMagicCode({ email });
  return outside.code(email, previous);
}

describe("passwords", () => {
  test("[J226] sign up, sign in, change and reset", async () => {
    const [email, password] = ["ann@example.com", "a horse of 17 hands"];
    const db = connect();
    const { user: guest } = await db.auth.signInAsGuest();
    const code = await codeTo(db, email);
    const wrong = db.auth.signUpWithPassword({
      email,
      code: "000000",
      password,
    });
    assert.equal((await rejection(wrong)).code, "record-not-found");
    const made = await db.auth.signUpWithPassword({ email, code, password });
    assert.equal(made.user.email, email);
    // The guest has become the user.
    assert.equal(made.user.id, guest.id);
    assert.equal((await db.getAuth()).id, made.user.id);

    const other = connect();
    const failed = other.auth.signInWithPassword({
      email,
      password: "something else 5",
    });
    assert.equal((await rejection(failed)).code, "record-not-found");
    const { user } = await other.auth.signInWithPassword({ email, password });
    assert.equal(user.id, made.user.id);

    const next = "battery of 12 volts";
    await other.auth.changePassword({ password, newPassword: next });
    assert.equal((await other.getAuth()).refresh_token, user.refresh_token);
    // The session of the other device has ended.
    const old = connect().auth.signInWithToken(made.user.refresh_token);
    assert.equal((await rejection(old)).code, "record-not-found");
    assert.equal(
      (await other.auth.signInWithPassword({ email, password: next })).user.id,
      user.id,
    );

    const again = { email, code: await codeTo(other, email, code), password };
    assert.equal((await other.auth.resetPassword(again)).user.id, user.id);
    const third = connect();
    assert.equal(
      (await third.auth.signInWithPassword({ email, password })).user.id,
      user.id,
    );
    assert.deepEqual(await third.auth.listPasskeys(), []);
  });
});

describe(
  "passkeys",
  { skip: !existsSync(CHROMIUM) && "needs Chromium" },
  () => {
    let browser;
    before(async () => {
      browser = await chromium.launch({
        executablePath: CHROMIUM,
        args: ["--no-sandbox"],
      });
    });
    after(() => browser?.close());

    test("[J227] of a browser are added, sign in, are listed and deleted", async () => {
      const admin = connect();
      const email = "pat@example.com";
      const { user } = await admin.auth.signInWithMagicCode({
        email,
        code: await codeTo(admin, email),
      });
      const page = await pageOf(browser);
      const made = await page.evaluate(async (token) => {
        await db.auth.signInWithToken(token);
        return db.auth.addPasskey({ name: "Phone" });
      }, user.refresh_token);
      assert.equal(made.name, "Phone");
      assert.equal(made.rp_id, "localhost");
      assert.deepEqual(
        await admin.auth.listPasskeys().then((all) => all.map(({ id }) => id)),
        [made.id],
      );
      // The device has one already.
      const second = await page.evaluate(() =>
        db.auth.addPasskey().catch(({ code, hint }) => ({ code, hint })),
      );
      assert.deepEqual(second, {
        code: "passkey-failed",
        hint: { reason: "InvalidStateError" },
      });

      const back = await page.evaluate(async () => {
        await db.auth.signOut();
        const { user, created } = await db.auth.signInWithPasskey();
        return { id: user.id, created, now: (await db.getAuth()).id };
      });
      assert.deepEqual(back, { id: user.id, created: false, now: user.id });

      const refused = await page.evaluate(async (id) => {
        await db.auth.deletePasskey(id);
        const left = await db.auth.listPasskeys();
        const error = await db.auth
          .signInWithPasskey()
          .catch(({ code }) => code);
        return { left, error };
      }, made.id);
      assert.deepEqual(refused, { left: [], error: "record-not-found" });
    });
  },
);

/** A website whose pages have our client as `db`. */
async function startSite() {
  const built = await build({
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      lib: { entry: CLIENT, formats: ["iife"], name: "tricedb" },
    },
  });
  const script = [built].flat()[0].output[0].code;
  const start = JSON.stringify({ appId: app.id, server: server.url });
  const page = `<!doctype html><meta charset="utf-8"><script>${script}</script>
    <script>const db = tricedb.init(${start});</script>`;
  const answer = (_, response) =>
    response.setHeader("content-type", "text/html").end(page);
  const listening = createServer(answer);
  await new Promise((resolve) => listening.listen(0, "localhost", resolve));
  return listening;
}

/** A page of it, on a device that holds passkeys. */
async function pageOf(browser) {
  const page = await browser.newPage();
  await page.goto(`http://localhost:${site.address().port}/`);
  const device = await page.context().newCDPSession(page);
  await device.send("WebAuthn.enable");
  await device.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      ...{ protocol: "ctap2", transport: "internal", hasResidentKey: true },
      ...{
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    },
  });
  return page;
}
