// A schema of an app, and what it becomes: every kind of change but deletions.
import { i } from '@instantdb/core';

export const schema = i.schema({
  entities: {
    todos: i.entity({
      title: i.string(),
      minutes: i.number().optional(),
      key: i.string().unique().indexed().optional(),
      anything: i.any().optional(),
    }),
    lists: i.entity({ name: i.string().indexed() }),
    drafts: i.entity({ text: i.string() }),
  },
  links: {
    todosList: {
      forward: { on: 'todos', label: 'list', has: 'one', onDelete: 'cascade' },
      reverse: { on: 'lists', label: 'todos', has: 'many' },
    },
    draftsTodo: {
      forward: { on: 'drafts', label: 'todo', has: 'one' },
      reverse: { on: 'todos', label: 'draft', has: 'one' },
    },
  },
});

export const grown = i.schema({
  entities: {
    todos: i.entity({
      title: i.string().indexed(),
      minutes: i.string().optional(),
      key: i.string().optional(),
      anything: i.boolean().optional(),
      done: i.boolean().optional(),
    }),
    lists: i.entity({ name: i.string().indexed().optional() }),
    drafts: i.entity({ text: i.string() }),
    tags: i.entity({ label: i.string().unique() }),
  },
  links: {
    todosList: {
      forward: { on: 'todos', label: 'list', has: 'one' },
      reverse: { on: 'lists', label: 'todos', has: 'many' },
    },
    todosTags: {
      forward: { on: 'todos', label: 'tags', has: 'many' },
      reverse: { on: 'tags', label: 'todos', has: 'many' },
    },
    draftsTodo: {
      forward: { on: 'drafts', label: 'todo', has: 'one' },
      reverse: { on: 'todos', label: 'draft', has: 'one' },
    },
  },
});
