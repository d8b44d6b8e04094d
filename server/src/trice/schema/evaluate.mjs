// node --experimental-vm-modules evaluate.mjs FILE DESCRIPTOR
//
// Run an instant.schema.ts or instant.perms.ts, and tell what it exports: {"value": …} or
// {"fault": {"file", "line", "message"}}.
//
// `i` is the one below, so that a project needs neither `tricedb` nor a package of Instant. Types
// are taken out by Node itself where it can (22.13), else by a package of the project: typescript,
// esbuild or jiti. What `i.string<"a" | "b">()` says is a type, which does not exist when a file
// runs; it is passed on as an argument before that.
import { existsSync, readFileSync, statSync, writeSync } from 'node:fs';
import * as nodeModule from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';

const main = path.resolve(process.argv[2]);
const answers = Number(process.argv[3]);
const fromProject = nodeModule.createRequire(pathToFileURL(main));
const OURS = /^(tricedb|@instantdb\/[\w-]+)(\/.*)?$/;
const ENDINGS = ['', '.ts', '.tsx', '.mts', '.js', '.mjs', '/index.ts', '/index.js'];

// --- what `tricedb` and Instant's export ---------------------------------------------------------

class Attr {
  constructor(known) {
    Object.assign(this, known);
  }
  optional() {
    return new Attr({ ...this, required: false });
  }
  clientRequired() {
    return this.optional();
  }
  unique() {
    return new Attr({ ...this, config: { ...this.config, unique: true } });
  }
  indexed() {
    return new Attr({ ...this, config: { ...this.config, indexed: true } });
  }
}

class Entity {
  constructor(attrs) {
    this.attrs = attrs;
  }
  asType() {
    return this;
  }
}

class Schema {
  constructor(entities, links, rooms) {
    Object.assign(this, { entities, links, rooms });
  }
  withRoomSchema() {
    return this;
  }
}

const attr = (valueType) => (type) =>
  new Attr({ valueType, required: true, config: {}, ...choices(type) });

/** The texts of `"a" | 'b'`; nothing for any other type. */
function choices(type) {
  if (typeof type !== 'string') return {};
  const text = type.trim().replace(/^\|/, '');
  const one = /\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*(\||$)/y;
  const values = [];
  while (one.lastIndex < text.length) {
    const found = one.exec(text);
    if (!found) return {};
    values.push(vm.runInNewContext(found[1]));
  }
  return values.length ? { values: [...new Set(values)] } : {};
}

const i = {
  entity: (attrs) => new Entity(attrs),
  schema: ({ entities, links, rooms }) => new Schema(entities, links ?? {}, rooms ?? {}),
  graph: (entities, links) => new Schema(entities, links ?? {}, {}),
};
for (const type of ['string', 'number', 'boolean', 'date', 'json', 'any']) i[type] = attr(type);

// --- TypeScript ----------------------------------------------------------------------------------

/** Choices of texts as arguments; also those that have a name in the same file. */
function withChoices(source) {
  const named = new Map();
  const alias = /\btype\s+(\w+)\s*=\s*([^;{}()]*?)\s*(?:;|\n\s*\n)/g;
  for (const [, name, type] of source.matchAll(alias)) named.set(name, type);
  return source.replace(/(\bi\s*\.\s*string)\s*<([^<>()]*)>\s*\(\s*\)/g, (_, call, type) => {
    const meant = named.get(type.trim()) ?? type;
    return `${call}(${JSON.stringify(meant)})`;
  });
}

function transpiler() {
  if (nodeModule.stripTypeScriptTypes)
    return (source) => {
      try {
        return { code: nodeModule.stripTypeScriptTypes(source), isModule: true, keepsLines: true };
      } catch {
        // An enum, for one, is more than a type.
        const code = nodeModule.stripTypeScriptTypes(source, { mode: 'transform' });
        return { code, isModule: true };
      }
    };
  const typescript = load('typescript');
  if (typescript?.transpileModule) {
    const compilerOptions = { module: 1, target: 9, esModuleInterop: true };
    return (source, fileName) => ({
      code: typescript.transpileModule(source, { compilerOptions, fileName }).outputText,
    });
  }
  const esbuild = load('esbuild');
  if (esbuild)
    return (source, file) => ({
      code: esbuild.transformSync(source, {
        loader: file.endsWith('x') ? 'tsx' : 'ts',
        format: 'esm',
      }).code,
      isModule: true,
    });
  const jiti = load('jiti');
  if (jiti) {
    const { transform } = jiti.createJiti(main);
    return (source, filename) => ({
      code: transform({ source, filename, ts: true, retainLines: true }),
      keepsLines: true,
    });
  }
  throw new Fault(
    `Node ${process.versions.node} does not read TypeScript. Use Node 22.13 or newer, or run ` +
      '`npm install esbuild` in the project',
  );
}

function load(name) {
  try {
    return fromProject(name);
  } catch {
    return null;
  }
}

// --- running -------------------------------------------------------------------------------------

class Fault extends Error {}

const globals = { process, console, URL, URLSearchParams, structuredClone, Buffer };
const context = vm.createContext(globals);
const loaded = new Map();
let hasLines = false;
let transpile;

/** The names that a file imports from one place; types are among them where they are not marked. */
function importedNames(source, specifier) {
  const names = new Set(['default', 'i']);
  const braces = /import\s+[^{}'"]*\{([^}]*)\}\s*from\s*['"]([^'"]+)/g;
  for (const [, list, from] of source.matchAll(braces))
    if (from === specifier)
      for (const each of list.split(',')) {
        const name = each.trim().split(/\s+as\s+/)[0];
        if (/^[\w$]+$/.test(name)) names.add(name);
      }
  return [...names];
}

function exported(values, names = Object.keys(values)) {
  const made = new vm.SyntheticModule(
    names,
    function () {
      for (const name of names) this.setExport(name, values[name]);
    },
    { context },
  );
  return made;
}

function resolve(specifier, parent) {
  if (specifier.startsWith('.') || path.isAbsolute(specifier)) {
    const wanted = path.resolve(path.dirname(parent), specifier);
    const asTs = wanted.replace(/\.(m?)js$/, '.$1ts');
    for (const candidate of [wanted, asTs])
      for (const ending of ENDINGS) {
        const file = candidate + ending;
        if (existsSync(file) && statSync(file).isFile()) return file;
      }
    throw new Fault(`There is no ${specifier} beside ${path.basename(parent)}`);
  }
  return null;
}

function find(specifier, parent, source) {
  const names = importedNames(source, specifier);
  if (OURS.test(specifier)) return exported({ i, default: { i } }, names);
  const file = resolve(specifier, parent);
  if (file) return run(file);
  const found = installed(specifier, parent);
  const values = { ...found, default: found?.default ?? found };
  return exported(values, [...new Set([...Object.keys(values), ...names])]);
}

/** What a package of the project exports. */
function installed(specifier, parent) {
  try {
    return nodeModule.createRequire(pathToFileURL(parent))(specifier);
  } catch (failure) {
    throw new Fault(`It imports ${specifier}: ${String(failure.message).split('\n')[0]}`);
  }
}

/** The module that a file makes, not yet linked. */
function run(file) {
  if (loaded.has(file)) return loaded.get(file);
  const source = readFileSync(file, 'utf8');
  if (file.endsWith('.json')) return keep(file, exported({ default: JSON.parse(source) }));
  let code = source;
  let keepsLines = true;
  let isModule = /^\s*(import|export)\b/m.test(source);
  if (/\.m?tsx?$/.test(file)) {
    transpile ??= transpiler();
    ({ code, isModule = false, keepsLines = false } = transpile(withChoices(source), file));
  }
  if (file === main) hasLines = keepsLines;
  if (isModule) {
    const made = keep(file, new vm.SourceTextModule(code, { context, identifier: file }));
    made.source = source;
    return made;
  }
  return keep(file, common(file, code, source));
}

function keep(file, made) {
  loaded.set(file, made);
  return made;
}

/** A module of what a file assigns to `exports`. */
function common(file, code, source) {
  const module = { exports: {} };
  const require = (specifier) => {
    if (OURS.test(specifier)) return { __esModule: true, i, default: { i } };
    const other = resolve(specifier, file);
    if (!other) return installed(specifier, file);
    const made = run(other);
    return made.commonExports ?? made.namespace;
  };
  const wrapped = `(function (exports, require, module, jitiImport, jitiESMResolve) {${code}\n})`;
  vm.runInContext(wrapped, context, { filename: file })(module.exports, require, module, require);
  const found = module.exports;
  const whole = Object.keys(found).length ? found : undefined;
  const values = { ...found, default: found.__esModule ? found.default : whole };
  const made = exported(values);
  made.commonExports = found;
  made.source = source;
  return made;
}

async function value() {
  const made = run(main);
  await made.link((specifier, parent) => find(specifier, parent.identifier, parent.source ?? ''));
  await made.evaluate();
  const found = made.namespace.default;
  if (found === undefined || found === null)
    throw new Fault('It exports nothing: the last line is `export default schema;`, or rules');
  return found;
}

function lineOf(failure) {
  if (failure instanceof Fault || !hasLines) return null;
  const stack = String(failure?.stack ?? '');
  const at = stack.indexOf(`${main}:`);
  const found = at < 0 ? null : /^:(\d+)/.exec(stack.slice(at + main.length));
  return found ? Number(found[1]) : null;
}

let told;
try {
  told = JSON.stringify({ value: await value() });
} catch (failure) {
  const message = failure instanceof Fault ? failure.message : String(failure?.message ?? failure);
  const fault = { file: main, line: lineOf(failure), message: message.split('\n')[0] };
  told = JSON.stringify({ fault });
}
const answer = Buffer.from(told);
for (let at = 0; at < answer.length; ) at += writeSync(answers, answer, at);
process.exit(0);
