// One schema with every kind of attr and link the tests need.
import { i } from '@instantdb/core';

export const schema = i.schema({
  entities: {
    people: i.entity({
      name: i.string().indexed(),
      email: i.string().unique().indexed(),
      age: i.number().indexed(),
      score: i.number().indexed().optional(),
      active: i.boolean().indexed(),
      born: i.date().indexed().optional(),
      bio: i.string().optional(),
      prefs: i.json().optional(),
    }),
    profiles: i.entity({ handle: i.string().unique().indexed(), avatar: i.string().optional() }),
    projects: i.entity({
      title: i.string().indexed(),
      code: i.string().unique(),
      budget: i.number().indexed().optional(),
    }),
    todos: i.entity({
      title: i.string().indexed(),
      done: i.boolean().indexed(),
      priority: i.number().indexed().optional(),
      due: i.date().indexed().optional(),
      note: i.string().optional(),
      label: i.string().indexed().optional(),
      meta: i.json().optional(),
    }),
    comments: i.entity({ body: i.string(), at: i.date().indexed(), rank: i.number().indexed() }),
    tags: i.entity({ name: i.string().unique().indexed(), hue: i.number().optional() }),
  },
  links: {
    todosOwner: {
      forward: { on: 'todos', has: 'one', label: 'owner' },
      reverse: { on: 'people', has: 'many', label: 'todos' },
    },
    todosProject: {
      forward: { on: 'todos', has: 'one', label: 'project', onDelete: 'cascade' },
      reverse: { on: 'projects', has: 'many', label: 'todos' },
    },
    commentsTodo: {
      forward: { on: 'comments', has: 'one', label: 'todo', onDelete: 'cascade' },
      reverse: { on: 'todos', has: 'many', label: 'comments' },
    },
    commentsAuthor: {
      forward: { on: 'comments', has: 'one', label: 'author' },
      reverse: { on: 'people', has: 'many', label: 'comments' },
    },
    todosTags: {
      forward: { on: 'todos', has: 'many', label: 'tags' },
      reverse: { on: 'tags', has: 'many', label: 'todos' },
    },
    profilesPerson: {
      forward: { on: 'profiles', has: 'one', label: 'person' },
      reverse: { on: 'people', has: 'one', label: 'profile' },
    },
    peopleManager: {
      forward: { on: 'people', has: 'one', label: 'manager' },
      reverse: { on: 'people', has: 'many', label: 'reports' },
    },
    peopleSponsored: {
      forward: { on: 'people', has: 'many', label: 'sponsored' },
      reverse: { on: 'projects', has: 'one', label: 'sponsor' },
    },
  },
  rooms: {},
});

/** What the server gets: the same definition as plain JSON (instant-http §4.5). */
export function serialisedSchema(definition = schema) {
  return JSON.parse(JSON.stringify({ entities: definition.entities, links: definition.links }));
}

const reverseLinks = Object.values(schema.links).map(({ forward, reverse }) => ({
  from: reverse.on,
  label: reverse.label,
  to: forward.on,
  has: reverse.has,
  forward: false,
  forwardLabel: forward.label,
}));
const forwardLinks = Object.values(schema.links).map(({ forward, reverse }) => ({
  from: forward.on,
  label: forward.label,
  to: reverse.on,
  has: forward.has,
  forward: true,
  forwardLabel: forward.label,
}));

/** The link `label` of namespace `etype` seen from that side, or undefined. */
export function findLink(etype, label) {
  return [...forwardLinks, ...reverseLinks].find(
    (link) => link.from === etype && link.label === label,
  );
}

/** {label: {type, isIndexed}} of the plain attrs of `etype`. */
export function attrsOf(etype) {
  const attrs = {};
  for (const [label, attr] of Object.entries(schema.entities[etype].attrs)) {
    attrs[label] = { type: attr.valueType, isIndexed: Boolean(attr.config.indexed) };
  }
  return attrs;
}
