// Runs spec/cases on a live server through a client, and compares with the expected text.
// Usage: node run.mjs http://127.0.0.1:PORT spec/cases @instantdb/core
//        node run.mjs http://127.0.0.1:PORT spec/cases path/to/tricedb/dist/index.js
//
// Left out: cases marked `client: skip`, cases with commands that only a server can answer
// (`infer`, `flat`, `rules` …), and those that write low-level steps. Of errors only the refusal is
// compared: the client hides codes.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import WebSocket from 'ws';
import { createNetwork, createStorage } from '../../interop/support/browser.mjs';

const [origin, root, client] = process.argv.slice(2);
const isOfficial = client.startsWith('@instantdb/');
// Node has no WebSocket of its own before version 22.
globalThis.WebSocket ??= WebSocket;
const { init } = await import(isOfficial ? client : pathToFileURL(client).href);

// --- case files: the same format as case_file.py reads -------------------------------------------

function readCases(path) {
  const cases = [];
  for (const block of readFileSync(path, 'utf8').trim().split(/\n\n+/)) {
    let lines = block.split('\n');
    const header = lines.filter((line) => line.startsWith('# '));
    lines = lines.slice(header.length);
    if (header.length) cases.push({ header, seed: lines.shift().slice(5), commands: [] });
    const rule = lines.indexOf('----');
    cases.at(-1).commands.push({
      words: lines[0].split(' '),
      source: lines.slice(1, rule).join('\n'),
      expected: lines.slice(rule + 1).join('\n'),
    });
  }
  return cases;
}

function aliasUuid(alias) {
  const [, letters, number] = alias.match(/^([a-z]{1,4})(\d+)$/);
  const hex = Buffer.from(letters).toString('hex').padStart(8, '0');
  return `ca5e0000-0000-4000-8000-${hex}${Number(number).toString(16).padStart(4, '0')}`;
}

const withAliases = (text) =>
  text.replace(/ca5e0000-0000-4000-8000-([0-9a-f]{8})([0-9a-f]{4})/g, (_, letters, number) =>
    Buffer.from(letters, 'hex').toString().replaceAll('\0', '') + parseInt(number, 16));

function resolve(value, cursors) {
  if (Array.isArray(value)) return value.map((one) => resolve(one, cursors));
  if (value && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v, cursors)]));
  if (typeof value !== 'string') return value;
  if (value.startsWith('<')) return cursors[value];
  return value.replace(/@([a-z]{1,4}\d+)/g, (_, alias) => aliasUuid(alias));
}

function loadSeed(name) {
  const seed = JSON.parse(readFileSync(join(root, 'seeds', `${name}.json`), 'utf8'));
  const entities = {};
  for (const [etype, fields] of Object.entries(seed.entities)) {
    const attrs = {};
    for (const [label, spec] of Object.entries(fields)) {
      const [valueType, ...flags] = spec.split(' ');
      const config = { indexed: flags.includes('indexed'), unique: flags.includes('unique') };
      const required = flags.includes('required');
      attrs[label] = { valueType, required, isIndexed: config.indexed, config };
    }
    entities[etype] = { attrs };
  }
  const links = {};
  seed.links.forEach((text, number) => {
    const [forward, reverse] = text.split(' <-> ').map((side) => {
      const [path, has, ...flags] = side.split(' ');
      const [on, label] = path.split('.');
      const cascade = flags.includes('cascade') ? { onDelete: 'cascade' } : {};
      return { on, label, has, ...cascade, ...(flags.includes('required') && { required: true }) };
    });
    links[`link${number}`] = { forward, reverse };
  });
  return { schema: { entities, links }, rows: seed.rows };
}

// --- answers -------------------------------------------------------------------------------------

const pythonPair = ([key, value]) => `${JSON.stringify(key)}: ${pythonJson(value)}`;

/** Values as Python's json.dumps writes them, for comparison with the expected text. */
function pythonJson(value) {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`;
  if (value && typeof value === 'object')
    return `{${Object.entries(value).sort().map(pythonPair).join(', ')}}`;
  return JSON.stringify(value);
}

function renderForm(label, rows, form, indent, isFull, lines) {
  const links = Object.keys(form).filter((name) => name !== '$');
  if (!rows?.length) lines.push(`${indent}${label}: []`);
  else if (!links.length && !isFull) {
    const ids = rows.map((row) => row.id).join(' ');
    lines.push(`${indent}${label}: [${ids}]`);
  }
  else {
    lines.push(`${indent}${label}:`);
    for (const row of rows) {
      const isField = ([name]) => name !== 'id' && !links.includes(name);
      const fields = Object.fromEntries(Object.entries(row).filter(isField));
      lines.push(`${indent}  ${row.id}${isFull ? ` ${pythonJson(fields)}` : ''}`);
      for (const link of links) {
        renderForm(link, row[link], form[link], `${indent}    `, isFull, lines);
      }
    }
  }
}

function renderTotals(label, totals) {
  if (totals.groups) return [`${label}:`, ...totals.groups.map((one) => `  ${pythonJson(one)}`)];
  if (Object.keys(totals).join() === 'count') return [`${label}: count ${totals.count}`];
  return [`${label}: ${pythonJson(totals)}`];
}

function render(result, query, isFull) {
  const lines = [];
  for (const label of Object.keys(query)) {
    const totals = result.aggregate?.[label];
    if (totals) lines.push(...renderTotals(label, totals));
    else if (label === '$$ruleParams') continue;
    else renderForm(label, result.data[label], query[label], '', isFull, lines);
  }
  for (const [label, page] of Object.entries(result.pageInfo ?? {}).sort()) {
    const [start, end] = [page.startCursor, page.endCursor].map((cursor) => cursor?.[0] ?? 'none');
    const more = [page.hasNextPage && 'next', page.hasPreviousPage && 'previous'].filter(Boolean);
    lines.push(`page ${label}: ${start} to ${end}, more: ${more.join(' ') || 'none'}`);
  }
  return withAliases(lines.join('\n'));
}

// --- running -------------------------------------------------------------------------------------

async function post(path, body, headers = {}) {
  const response = await fetch(origin + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { isOk: response.ok, body: await response.json() };
}

class Stage {
  static async open(seed) {
    const { schema, rows } = loadSeed(seed);
    const { isOk, body } = await post('/dash/apps/ephemeral', { title: seed, schema });
    if (!isOk) throw new Error(`no app: ${JSON.stringify(body)}`);
    const stage = new Stage();
    stage.appId = body.app.id;
    stage.token = body.app['admin-token'];
    stage.cursors = {};
    const [websocketURI, apiURI] = [`${origin.replace(/^http/, 'ws')}/runtime/session`, origin];
    const config = { appId: stage.appId, apiURI, websocketURI, verbose: false };
    const admin = { ...config, __adminToken: stage.token };
    stage.admin = init(admin, createStorage(), createNetwork().Listener);
    const answer = await stage.transact(rows);
    if (answer !== 'ok') throw new Error(`seed ${seed} refused`);
    return stage;
  }

  async transact(steps) {
    const headers = { 'app-id': this.appId, authorization: `Bearer ${this.token}` };
    const body = { steps: resolve(steps, this.cursors) };
    const answer = await post('/admin/transact', body, headers);
    return answer.isOk ? 'ok' : 'error';
  }

  async query(source, isFull) {
    const query = resolve(source, this.cursors);
    let result;
    try {
      result = await this.admin.queryOnce(query);
    } catch {
      return 'error';
    }
    for (const [label, page] of Object.entries(result.pageInfo ?? {})) {
      this.cursors[`<start ${label}>`] = page.startCursor;
      this.cursors[`<end ${label}>`] = page.endCursor;
    }
    return render(result, query, isFull);
  }

  run(words, input) {
    if (words[0] === 'transact') return this.transact(input);
    return this.query(input, words.includes('full'));
  }

  close() {
    this.admin.shutdown();
  }
}

const hasLowLevel = (one) =>
  one.commands.some(({ source }) => /-triple"|-entity"|-attr"|"#/.test(source));
const SERVERS_WORDS = ['infer', 'strict', 'as=guest', 'attrs', 'flat', 'rules', 'low', 'high'];
const isOnlyServers = (one) =>
  one.commands.some(({ words }) => SERVERS_WORDS.some((word) => words.includes(word)));

/** Skips are those of the official client. Ours shares two: it cuts nested forms, and rounds. */
const ours = /^# client: skip \((clients apply it|JavaScript rounds these numbers)\)/;
const isSkippedBy = (line) => (isOfficial ? line.startsWith('# client: skip') : ours.test(line));

let run = 0;
let failed = 0;
for (const folder of ['query', 'transact']) {
  for (const file of readdirSync(join(root, folder)).sort()) {
    for (const one of readCases(join(root, folder, file))) {
      const isSkipped = one.header.some((line) => isSkippedBy(line));
      if (isSkipped || hasLowLevel(one) || isOnlyServers(one)) continue;
      const stage = await Stage.open(one.seed);
      for (const { words, source, expected } of one.commands) {
        const input = JSON.parse(source);
        const given = await stage.run(words, input);
        const wanted = expected.startsWith('error') ? 'error' : expected;
        run += 1;
        if (given !== wanted) {
          failed += 1;
          console.error(`FAILED ${folder}/${file} ${one.header[0]}\n${source}`);
          console.error(`expected\n${wanted}\ngot\n${given}\n`);
        }
      }
      stage.close();
    }
  }
}
console.log(`${run} commands, ${failed} failed`);
process.exit(failed ? 1 : 0);
