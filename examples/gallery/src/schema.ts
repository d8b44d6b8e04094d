import { i, type InstaQLEntity } from '@instantdb/react';

export const schema = i.schema({
  entities: {
    $files: i.entity({
      path: i.string().unique().indexed(),
      url: i.string(),
    }),
    photos: i.entity({
      caption: i.string(),
      addedAt: i.date().indexed(),
    }),
  },
  links: {
    photoFile: {
      forward: { on: 'photos', has: 'one', label: 'file', onDelete: 'cascade' },
      reverse: { on: '$files', has: 'one', label: 'photo' },
    },
  },
});

export type Photo = InstaQLEntity<typeof schema, 'photos', { file: {} }>;
