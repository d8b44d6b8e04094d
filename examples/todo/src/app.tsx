import { useState } from 'react';
import { Connection } from './connection';
import { db } from './db';
import { People } from './people';
import type { Person } from './schema';
import { TodoRow } from './todo-row';
import { useWrites, type Writes } from './writes';

const FILTERS = { all: 'All', open: 'Open', done: 'Done' } as const;
type Filter = keyof typeof FILTERS;

export function App() {
  const [filter, setFilter] = useState<Filter>('all');
  const writes = useWrites();
  const people = db.useQuery({ people: { $: { order: { name: 'asc' } } } }).data?.people ?? [];

  return (
    <main>
      <header>
        <h1>Todos</h1>
        <Connection />
      </header>
      {writes.refusal !== null && (
        <div className="refusal" role="alert">
          <p>{writes.refusal}</p>
          <button type="button" onClick={writes.dismiss}>
            Dismiss
          </button>
        </div>
      )}
      <AddTodo people={people} onAdd={writes.addTodo} />
      <FilterBar filter={filter} onChange={setFilter} />
      <TodoList filter={filter} people={people} writes={writes} />
      <People people={people} writes={writes} />
    </main>
  );
}

function AddTodo(props: {
  readonly people: readonly Person[];
  readonly onAdd: (title: string, ownerId: string) => void;
}) {
  const [title, setTitle] = useState('');
  const [ownerId, setOwnerId] = useState('');
  return (
    <form
      className="add"
      onSubmit={(event) => {
        event.preventDefault();
        if (title.trim() === '') return;
        props.onAdd(title.trim(), ownerId);
        setTitle('');
      }}
    >
      <input
        aria-label="New todo"
        placeholder="What needs doing?"
        value={title}
        onChange={(event) => setTitle(event.target.value)}
      />
      <select
        aria-label="Owner of the new todo"
        value={ownerId}
        onChange={(event) => setOwnerId(event.target.value)}
      >
        <option value="">Nobody</option>
        {props.people.map((person) => (
          <option key={person.id} value={person.id}>
            {person.name}
          </option>
        ))}
      </select>
      <button type="submit" className="primary">
        Add
      </button>
    </form>
  );
}

function FilterBar(props: {
  readonly filter: Filter;
  readonly onChange: (filter: Filter) => void;
}) {
  const open = db.useQuery({ todos: { $: { where: { done: false }, fields: ['id'] } } });
  const count = open.data?.todos.length;
  return (
    <div className="filters">
      <div role="group" aria-label="Which todos to show">
        {(Object.keys(FILTERS) as Filter[]).map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={name === props.filter}
            onClick={() => props.onChange(name)}
          >
            {FILTERS[name]}
          </button>
        ))}
      </div>
      {count !== undefined && <p className="quiet">{count} open</p>}
    </div>
  );
}

function TodoList(props: {
  readonly filter: Filter;
  readonly people: readonly Person[];
  readonly writes: Writes;
}) {
  const where = props.filter === 'all' ? {} : { done: props.filter === 'done' };
  const { isLoading, error, data } = db.useQuery({
    todos: { $: { where, order: { serverCreatedAt: 'desc' } }, owner: {} },
  });
  if (error) return <p role="alert">{error.message}</p>;
  if (isLoading) return <p className="quiet empty">Loading…</p>;
  if (data.todos.length === 0) return <p className="quiet empty">Nothing here.</p>;
  return (
    <ul className="todos" aria-label="Todos">
      {data.todos.map((todo) => (
        <TodoRow key={todo.id} todo={todo} people={props.people} writes={props.writes} />
      ))}
    </ul>
  );
}
