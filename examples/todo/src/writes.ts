import { id } from '@instantdb/react';
import { useState } from 'react';
import { db } from './db';
import { whyRefused } from './failures';

type Chunks = Parameters<typeof db.transact>[0];

/** Everything the page can change. Each call shows at once and is sent in the background. */
export function useWrites() {
  const [refusal, setRefusal] = useState<string | null>(null);

  function send(chunks: Chunks) {
    db.transact(chunks).catch((error: unknown) => setRefusal(whyRefused(error)));
  }

  return {
    /** Why the server refused a write; the screen has already gone back. */
    refusal,
    dismiss: () => setRefusal(null),
    addTodo(title: string, ownerId: string) {
      const todo = db.tx.todos[id()]!.create({ title, done: false });
      send(ownerId === '' ? todo : todo.link({ owner: ownerId }));
    },
    setDone: (todoId: string, done: boolean) => send(db.tx.todos[todoId]!.update({ done })),
    setTitle: (todoId: string, title: string) => send(db.tx.todos[todoId]!.update({ title })),
    removeTodo: (todoId: string) => send(db.tx.todos[todoId]!.delete()),
    setOwner(todoId: string, ownerId: string, previousId: string) {
      const todo = db.tx.todos[todoId]!;
      send(ownerId === '' ? todo.unlink({ owner: previousId }) : todo.link({ owner: ownerId }));
    },
    addPerson: (name: string) => send(db.tx.people[id()]!.create({ name })),
    removePerson: (personId: string) => send(db.tx.people[personId]!.delete()),
  };
}

export type Writes = ReturnType<typeof useWrites>;
