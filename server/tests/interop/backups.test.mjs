// Backups of an app as the official command line and platform client fetch them.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Writable } from "node:stream";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import zlib from "node:zlib";

import "./support/browser.mjs";
import { id } from "@instantdb/admin";
import { PlatformApi } from "@instantdb/platform";
import { ZipWriter } from "@zip.js/zip.js";
import { createAdmin } from "./support/clients.mjs";
import { makeProject, removeProject, runCli } from "./support/instant-cli.mjs";
import { schema } from "./support/schema.mjs";
import { COMMAND, createAccount, startServer } from "./support/server.mjs";
import { rejection, until } from "./support/wait.mjs";

const trice = async (...args) =>
  (await promisify(execFile)(COMMAND, args)).stdout;

let folder;
let project;
let server;
let token;
let api;
let app;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "trice-backups-"));
  project = await makeProject({});
  server = await startServer();
  token = await createAccount(server, "ann@example.com");
  api = new PlatformApi({ auth: { token }, apiURI: server.url });
  const perms = { todos: { allow: { view: "auth.id != null" } } };
  ({ app } = await api.createApp({ title: "shop", schema, perms }));
  const admin = createAdmin(server, app);
  await admin.transact(
    Array.from({ length: 200 }, (_, n) =>
      admin.tx.todos[id()].create({ title: `todo ${n}`, done: n % 2 === 0 }),
    ),
  );
  await admin.auth.createToken({ email: "ann@example.com" });
  await admin.storage.uploadFile("a/b.txt", Buffer.from("bytes"));
  await admin.storage.uploadFile("large.bin", Buffer.alloc(600_000, "large"));
  await admin.storage.uploadFile("empty.txt", Buffer.alloc(0));
});
after(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
  if (project) await removeProject(project);
});

/** A request as the dashboard sends it. */
async function dash(method, rest, body) {
  const response = await fetch(`${server.url}/dash/apps/${app.id}${rest}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
    },
    body: body && JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

/** Run the command line in a project of the app. */
function instant(...args) {
  const extra = { INSTANT_CLI_AUTH_TOKEN: token, INSTANT_APP_ID: app.id };
  return runCli(args, { folder: project, url: server.url, extra });
}

/** Download with the platform client, as the command line does; it needs Node 22.15 itself. */
async function downloadByPlatform(manager, backup, target) {
  await manager.downloadArchive({
    backup,
    fetchBody: async (url, signal) => {
      const response = await fetch(url, { signal });
      if (response.status !== 200) throw new Error(`HTTP ${response.status}`);
      return response.body;
    },
    sink: Writable.toWeb(createWriteStream(target)),
    createWriter: async (sink, signal) =>
      new ZipWriter(sink, { zip64: true, signal }),
  });
}

async function createBackup(description) {
  const { status, body } = await dash("POST", "/backups", { description });
  assert.equal(status, 200, JSON.stringify(body));
  assert.ok(["waiting", "processing"].includes(body.job.job_status));
  return until(async () => {
    const { job } = (await dash("GET", `/backup-jobs/${body.job.id}`)).body;
    assert.ok(
      ["waiting", "processing", "completed"].includes(job.job_status),
      job.error,
    );
    return job.job_status === "completed" && job;
  }, "the backup");
}

test("[BK70, BK71, BK72, BK73, BK74] a backup is downloaded, and imported equal", async () => {
  assert.match(await instant("backup", "list"), /No backups yet/);
  const job = await createBackup("before the move");
  const manager = api.backups(app.id);
  const [backup] = await manager.list();
  assert.equal(backup.id, job.app_backup_id);
  assert.equal(backup.filesSize, 600_005);
  assert.ok(
    backup.backupAt.getTime() > 0 && backup.expiresAt > backup.backupAt,
  );
  const files = await manager.listFiles(backup.id);
  assert.equal(files[0].name, "config.json");
  assert.match(
    await instant("backup", "list"),
    new RegExp(`${backup.id} .*before the move`),
  );
  const [listed] = JSON.parse(await instant("backup", "list", "--json"));
  assert.equal(listed.uncompressedSize, backup.uncompressedSize);

  const target = path.join(folder, "backup.zip");
  if (zlib.createZstdDecompress) {
    await instant("backup", "download", "--latest", "--yes", "--out", target);
  } else {
    await downloadByPlatform(manager, backup, target);
  }
  const to = path.join(folder, "to");
  await trice("import", target, "--data-dir", to);
  const told = await trice(
    ...[
      "doctor",
      "--app",
      app.id,
      "--archive",
      target,
      "--all",
      "--data-dir",
      to,
    ],
  );
  assert.match(told, /Equal\./);
});

test("[BK75, BK76] a second one at once is refused; a deleted one is gone", async () => {
  const { status, body } = await dash("POST", "/backups", {});
  assert.equal(status, 429);
  assert.ok(body.hint["retry-at"]);
  const manager = api.backups(app.id);
  const [backup] = await manager.list();
  assert.deepEqual((await dash("DELETE", `/backups/${backup.id}`)).body, {
    id: backup.id,
  });
  assert.deepEqual(await manager.list(), []);
  assert.equal(
    (await rejection(manager.listFiles(backup.id))).body.type,
    "record-not-found",
  );
});
