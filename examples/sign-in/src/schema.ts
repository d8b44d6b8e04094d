import { i, type InstaQLEntity } from '@instantdb/react';

export const schema = i.schema({
  entities: {
    $users: i.entity({
      email: i.string().unique().indexed().optional(),
    }),
    notes: i.entity({
      text: i.string(),
    }),
  },
  links: {
    notesOwner: {
      forward: { on: 'notes', has: 'one', label: 'owner' },
      reverse: { on: '$users', has: 'many', label: 'notes' },
    },
  },
});

export type Note = InstaQLEntity<typeof schema, 'notes'>;
