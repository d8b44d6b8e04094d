import { i } from 'tricedb/react-native';

export const schema = i.schema({
  entities: {
    todos: i.entity({
      title: i.string(),
      done: i.boolean().indexed(),
      createdAt: i.number().indexed(),
    }),
  },
});
