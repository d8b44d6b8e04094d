import { useState } from 'react';
import { useParameter } from './address';
import { Connection } from './connection';
import { db } from './db';
import { NotLoaded, Refusal } from './failures';
import { useKeptFocus } from './kept-focus';
import { NoApp } from './no-app';
import { OwnerSelect } from './owner-select';
import { People } from './people';
import type { Person } from './schema';
import { TodoRow } from './todo-row';
import { useWrites, type Writes } from './writes';

const FILTERS = { all: 'All', open: 'Open', done: 'Done' } as const;
type Filter = keyof typeof FILTERS;

export function App() {
  const [wanted, setFilter] = useParameter('filter');
  const filter = wanted === 'open' || wanted === 'done' ? wanted : 'all';
  const writes = useWrites();
  const people = db.useQuery({ people: { $: { order: { name: 'asc' } } } }).data?.people ?? [];
  if (db.useConnectionStatus() === 'errored') return <NoApp />;

  return (
    <main>
      <header>
        <h1>Todos</h1>
        <Connection />
      </header>
      {writes.refusal !== null && <Refusal text={writes.refusal} onDismiss={writes.dismiss} />}
      <AddTodo people={people} onAdd={writes.addTodo} />
      <FilterBar filter={filter} onChange={setFilter} />
      <TodoList filter={filter} people={people} writes={writes} />
      <People people={people} writes={writes} />
      <p className="quiet hint">
        <a href="" target="_blank">
          Open a second window
        </a>{' '}
        and see every change arrive there at once.
      </p>
    </main>
  );
}

function AddTodo(props: {
  readonly people: readonly Person[];
  readonly onAdd: (title: string, ownerId: string) => void;
}) {
  const [title, setTitle] = useState('');
  const [chosen, setChosen] = useState('');
  // Whoever was chosen may have been removed since.
  const ownerId = props.people.some((person) => person.id === chosen) ? chosen : '';
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
        dir="auto"
        maxLength={200}
        value={title}
        onChange={(event) => setTitle(event.target.value)}
      />
      <OwnerSelect
        label="Owner of the new todo"
        ownerId={ownerId}
        people={props.people}
        onChange={setChosen}
      />
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
  const region = useKeptFocus();
  const { isLoading, error, data } = db.useQuery({
    todos: { $: { where, order: { serverCreatedAt: 'desc' } }, owner: {} },
  });
  return (
    <section ref={region} tabIndex={-1} aria-label="Todos">
      {error && <NotLoaded error={error} />}
      {isLoading && <p className="quiet empty">Loading…</p>}
      {data?.todos.length === 0 && <p className="quiet empty">Nothing here.</p>}
      {data !== undefined && data.todos.length > 0 && (
        <ul className="todos" aria-label="Todos">
          {data.todos.map((todo) => (
            <TodoRow key={todo.id} todo={todo} people={props.people} writes={props.writes} />
          ))}
        </ul>
      )}
    </section>
  );
}
