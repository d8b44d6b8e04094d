// 10,000 seeded entities, and the answer to any query over them, computed the slow and obvious way.
import { attrsOf, findLink } from './schema.mjs';
import { Random, SEED } from './random.mjs';
import { RawSession, triplesOf } from './raw.mjs';

const COUNTS = {
  people: 600,
  profiles: 300,
  projects: 100,
  tags: 100,
  todos: 5_000,
  comments: 3_900,
};
const BATCH = 100;
const collator = new Intl.Collator('en-US');

// Words that separate text orders: case, accents, digits, punctuation, scripts, emoji.
const WORDS = [
  'apple',
  'Apple',
  'äpfel',
  'Zebra',
  'zebra',
  'éclair',
  'eclair',
  'résumé',
  'resume',
  'Resume',
  'co-op',
  'coop',
  'co op',
  '10',
  '2',
  '100',
  'a0',
  'a10',
  'Zz',
  'ñandú',
  'nandu',
  'œuvre',
  'straße',
  'strasse',
  '_under',
  '-dash',
  "o'neil",
  'ONeil',
  '日本',
  '中文',
  'Ωmega',
  'привет',
  '🔥fire',
  '😀',
  'µ',
  'ﬁx',
  'I',
  'ı',
  'i',
  'ß',
  'ø',
  'Å',
  'A',
  'aa',
  'ab%c',
  'ab_c',
  'line\nbreak',
  '',
];
const START_MS = Date.UTC(2024, 0, 1);
const SPAN_MS = 700 * 24 * 3600 * 1000;

function title(random) {
  return Array.from({ length: 1 + random.below(3) }, () => random.pick(WORDS)).join(
    random.pick([' ', '-', '']),
  );
}

/** A date in one of the forms apps store: epoch ms, ISO with zone, ISO with offset, date only. */
function date(random) {
  const ms = START_MS + random.below(SPAN_MS);
  const iso = new Date(ms).toISOString();
  return random.pick([ms, iso, iso.replace('Z', '+00:00'), iso.slice(0, 10)]);
}

export function instant(value) {
  return value === null || value === undefined ? null : new Date(value).getTime();
}

export class World {
  constructor() {
    this.rows = Object.fromEntries(Object.keys(COUNTS).map((etype) => [etype, new Map()]));
    this.forward = new Map(); // "etype.label" -> Map(source -> Set(target))
    this.reverse = new Map(); // the same key -> Map(target -> Set(source))
    this.createdAt = new Map(); // entity -> created_at of its id triple
  }

  static generate(random = new Random()) {
    const world = new World();
    const ids = {};
    for (const [etype, count] of Object.entries(COUNTS)) {
      ids[etype] = Array.from({ length: count }, () => random.uuid());
      ids[etype].forEach((id, n) => world.rows[etype].set(id, { id, ...FIELDS[etype](random, n) }));
    }
    const link = (etype, label, source, target) => world.link(etype, label, source, target);
    for (const [n, id] of ids.profiles.entries()) link('profiles', 'person', id, ids.people[n]);
    for (const [n, id] of ids.people.entries()) {
      if (n > 0 && random.chance(0.8)) link('people', 'manager', id, ids.people[random.below(n)]);
    }
    for (const id of ids.projects) {
      if (random.chance(0.6)) link('people', 'sponsored', random.pick(ids.people), id);
    }
    for (const id of ids.todos) {
      if (random.chance(0.9)) link('todos', 'owner', id, random.pick(ids.people));
      if (random.chance(0.7)) link('todos', 'project', id, random.pick(ids.projects));
      for (let n = random.below(4); n > 0; n -= 1) link('todos', 'tags', id, random.pick(ids.tags));
    }
    for (const id of ids.comments) {
      link('comments', 'todo', id, random.pick(ids.todos));
      if (random.chance(0.85)) link('comments', 'author', id, random.pick(ids.people));
    }
    return world;
  }

  link(etype, label, source, target) {
    const add = (index, from, to) => {
      const key = `${etype}.${label}`;
      if (!index.has(key)) index.set(key, new Map());
      const ends = index.get(key);
      if (!ends.has(from)) ends.set(from, new Set());
      ends.get(from).add(to);
    };
    add(this.forward, source, target);
    add(this.reverse, target, source);
  }

  ids(etype) {
    return [...this.rows[etype].keys()];
  }

  row(etype, id) {
    return this.rows[etype].get(id);
  }

  /** Write everything through the admin client, BATCH entities a transaction. */
  async write(adminDb) {
    process.stderr.write(`# world of seed ${SEED} (TRICE_SEED)\n`);
    for (const etype of Object.keys(COUNTS)) {
      const chunks = [...this.rows[etype].values()].map(({ id, ...fields }) => {
        let chunk = adminDb.tx[etype][id].update(fields);
        for (const [key, ends] of this.forward) {
          const [from, label] = key.split('.');
          // Links back into a namespace not written yet are made from the other side, below.
          if (from === etype && key !== 'people.sponsored' && ends.has(id)) {
            chunk = chunk.link({ [label]: [...ends.get(id)] });
          }
        }
        if (etype === 'projects') {
          const sponsor = this.linked('projects', id, 'sponsor')[0];
          if (sponsor) chunk = chunk.link({ sponsor });
        }
        return chunk;
      });
      for (let start = 0; start < chunks.length; start += BATCH) {
        await adminDb.transact(chunks.slice(start, start + BATCH));
      }
    }
  }

  /** Learn when the server created each entity: what default order is made of. */
  async readCreatedAt(server, app) {
    const session = await RawSession.connect(server, app.id);
    for (const etype of Object.keys(COUNTS)) {
      const ok = await session.ask(
        { op: 'add-query', q: { [etype]: { $: { fields: ['id'] } } } },
        20_000,
      );
      if (ok.op !== 'add-query-ok')
        throw new Error(`${etype}: ${JSON.stringify(ok).slice(0, 400)}`);
      const idAttr = session.attr(etype, 'id');
      for (const [entity, attr, , createdAt] of triplesOf(ok.result)) {
        if (attr === idAttr) this.createdAt.set(entity, createdAt);
      }
    }
    session.close();
    const missing = Object.keys(COUNTS).flatMap((etype) =>
      this.ids(etype).filter((id) => !this.createdAt.has(id)),
    );
    if (missing.length)
      throw new Error(`${missing.length} entities were written and not found again`);
  }

  linked(etype, id, label) {
    const link = findLink(etype, label);
    const key = link.forward ? `${etype}.${label}` : `${link.to}.${link.forwardLabel}`;
    return [...((link.forward ? this.forward : this.reverse).get(key)?.get(id) ?? [])];
  }

  // --- queries (instant-semantics §2) ---

  /** The tree a query answers, links of cardinality one as object or null. */
  answer(query) {
    return Object.fromEntries(
      Object.entries(query).map(([etype, form]) => [etype, this.top(etype, form).rows]),
    );
  }

  /** Rows of one top form, and how many matched before the page was cut. */
  top(etype, form) {
    const { $: options = {} } = form;
    const all = this.sorted(
      etype,
      this.filtered(etype, this.ids(etype), options.where),
      options.order,
    );
    let page = all;
    const size = options.limit ?? options.first;
    if (options.offset) page = page.slice(options.offset);
    if (size) page = page.slice(0, size);
    if (options.last) page = page.slice(-options.last);
    return { ids: page, matched: all.length, rows: page.map((id) => this.shape(etype, id, form)) };
  }

  filtered(etype, ids, where) {
    return where ? ids.filter((id) => this.holds(etype, id, where)) : ids;
  }

  shape(etype, id, form) {
    const { $: options = {}, ...links } = form;
    const row = this.row(etype, id);
    const shaped = { id };
    for (const [label, { isIndexed }] of Object.entries(attrsOf(etype))) {
      if (options.fields && !options.fields.includes(label)) continue;
      if (row[label] !== undefined) shaped[label] = row[label];
      else if (isIndexed) shaped[label] = null;
    }
    for (const [label, nested] of Object.entries(links)) {
      const link = findLink(etype, label);
      const { where, order } = nested.$ ?? {};
      const found = this.filtered(link.to, this.linked(etype, id, label), where);
      const children = this.sorted(link.to, found, order).map((child) =>
        this.shape(link.to, child, nested),
      );
      shaped[label] = link.has === 'one' ? (children[0] ?? null) : children;
    }
    return shaped;
  }

  sorted(etype, ids, order) {
    const [[label, direction]] = Object.entries(order ?? { serverCreatedAt: 'asc' });
    const sign = direction === 'desc' ? -1 : 1;
    const key =
      label === 'serverCreatedAt'
        ? (id) => this.createdAt.get(id)
        : (id) => this.row(etype, id)[label] ?? null;
    const type = label === 'serverCreatedAt' ? 'number' : attrsOf(etype)[label].type;
    return [...ids].sort((a, b) => sign * (compare(type, key(a), key(b)) || (a < b ? -1 : 1)));
  }

  /** Whether `where` holds. Dotted keys through one link speak of one linked entity. */
  holds(etype, id, where) {
    const throughLink = new Map();
    for (const [path, condition] of Object.entries(where)) {
      if ((path === 'or' || path === 'and') && Array.isArray(condition)) {
        const test = (part) => this.holds(etype, id, part);
        if (!(path === 'or' ? condition.some(test) : condition.every(test))) return false;
        continue;
      }
      const [first, ...rest] = path.split('.');
      if (rest.length === 0) {
        if (!this.holdsHere(etype, id, first, condition)) return false;
      } else {
        const group = throughLink.get(first) ?? {};
        group[rest.join('.')] = condition;
        throughLink.set(first, group);
      }
    }
    return [...throughLink].every(([label, group]) => {
      const targets = this.linked(etype, id, label);
      if (targets.length === 0)
        return Object.values(group).every((condition) => test(null, condition));
      return targets.some((target) => this.holds(findLink(etype, label).to, target, group));
    });
  }

  holdsHere(etype, id, label, condition) {
    if (label === 'id') return test(id, condition);
    if (findLink(etype, label)) {
      const targets = this.linked(etype, id, label);
      return (targets.length ? targets : [null]).some((target) => test(target, condition));
    }
    return test(this.row(etype, id)[label] ?? null, condition, attrsOf(etype)[label]?.type);
  }
}

const FIELDS = {
  people: (random, n) => ({
    name: title(random),
    email: `person${n}@example.com`,
    age: random.below(90),
    active: random.chance(0.5),
    ...(random.chance(0.7) ? { score: random.below(1000) / 8 - 20 } : {}),
    ...(random.chance(0.7) ? { born: date(random) } : {}),
    ...(random.chance(0.3) ? { bio: title(random) } : {}),
    ...(random.chance(0.3)
      ? { prefs: { theme: random.pick(['dark', 'light']), sizes: [1, random.below(5)] } }
      : {}),
  }),
  profiles: (random, n) => ({
    handle: `h${n}`,
    ...(random.chance(0.5) ? { avatar: title(random) } : {}),
  }),
  projects: (random, n) => ({
    title: title(random),
    code: `P-${n}`,
    ...(random.chance(0.8) ? { budget: random.below(50) * 1000 } : {}),
  }),
  todos: (random) => ({
    title: title(random),
    done: random.chance(0.4),
    ...(random.chance(0.8) ? { priority: random.below(10) } : {}),
    ...(random.chance(0.8) ? { due: date(random) } : {}),
    ...(random.chance(0.4) ? { note: title(random) } : {}),
    ...(random.chance(0.6) ? { label: random.pick(WORDS) } : {}),
    ...(random.chance(0.2)
      ? { meta: { n: random.below(9), deep: { list: [true, null, 'x'] } } }
      : {}),
  }),
  comments: (random, n) => ({
    body: `${title(random)} ${n}`,
    at: date(random),
    rank: random.below(1_000),
  }),
  tags: (random, n) => ({
    name: `tag ${n}`,
    ...(random.chance(0.5) ? { hue: random.below(360) } : {}),
  }),
};

function compare(type, a, b) {
  if (a === null || b === null) return (a === null ? 0 : 1) - (b === null ? 0 : 1);
  if (type === 'string') return collator.compare(a, b);
  const [x, y] = type === 'date' ? [instant(a), instant(b)] : [Number(a), Number(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

function isEqual(a, b, type) {
  return type === 'date' && a !== null && b !== null ? instant(a) === instant(b) : a === b;
}

function test(value, condition, type) {
  if (typeof condition !== 'object' || condition === null)
    return value !== null && isEqual(value, condition, type);
  return Object.entries(condition).every(([operator, operand]) =>
    OPERATORS[operator](value, operand, type),
  );
}

function ordered(check) {
  return (value, operand, type) => {
    if (value === null) return false;
    // `$gt` and its kin go by code unit on strings; only `order` uses the collator.
    const [a, b] = type === 'date' ? [instant(value), instant(operand)] : [value, operand];
    return check(a, b);
  };
}

function like(flags) {
  return (value, pattern) => {
    if (typeof value !== 'string') return false;
    const source = pattern
      .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replace(/%/g, '.*')
      .replace(/_/g, '.');
    return new RegExp(`^${source}$`, flags).test(value);
  };
}

const OPERATORS = {
  $in: (value, list, type) => list.some((item) => isEqual(value, item, type)),
  in: (value, list, type) => list.some((item) => isEqual(value, item, type)),
  $not: (value, operand, type) => !isEqual(value, operand, type),
  $ne: (value, operand, type) => !isEqual(value, operand, type),
  $isNull: (value, isNull) => (value === null) === isNull,
  $gt: ordered((a, b) => a > b),
  $gte: ordered((a, b) => a >= b),
  $lt: ordered((a, b) => a < b),
  $lte: ordered((a, b) => a <= b),
  $like: like('s'),
  $ilike: like('si'),
};
