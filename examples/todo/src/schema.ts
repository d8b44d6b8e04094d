import { i, type InstaQLEntity } from '@instantdb/react';

export const schema = i.schema({
  entities: {
    todos: i.entity({
      title: i.string(),
      done: i.boolean().indexed(),
    }),
    people: i.entity({
      name: i.string().unique().indexed(),
    }),
  },
  links: {
    todoOwner: {
      forward: { on: 'todos', has: 'one', label: 'owner' },
      reverse: { on: 'people', has: 'many', label: 'todos' },
    },
  },
});

export type Person = InstaQLEntity<typeof schema, 'people'>;
export type Todo = InstaQLEntity<typeof schema, 'todos', { owner: {} }>;
