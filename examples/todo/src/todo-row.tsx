import { useState } from 'react';
import type { Person, Todo } from './schema';
import type { Writes } from './writes';

/** One todo: toggle, edit in place (Enter keeps, Escape leaves), owner, delete. */
export function TodoRow(props: {
  readonly todo: Todo;
  readonly people: readonly Person[];
  readonly writes: Writes;
}) {
  const { todo, people, writes } = props;
  const [draft, setDraft] = useState<string | null>(null);
  const ownerId = todo.owner?.id ?? '';

  function keepDraft() {
    const title = draft?.trim() ?? '';
    if (title !== '' && title !== todo.title) writes.setTitle(todo.id, title);
    setDraft(null);
  }

  return (
    <li data-done={todo.done}>
      <input
        type="checkbox"
        aria-label={`Done: ${todo.title}`}
        checked={todo.done}
        onChange={(event) => writes.setDone(todo.id, event.target.checked)}
      />
      {draft === null ? (
        <button
          type="button"
          className="title"
          aria-label={`Edit: ${todo.title}`}
          onClick={() => setDraft(todo.title)}
        >
          {todo.title}
        </button>
      ) : (
        <input
          className="title"
          aria-label="Title"
          autoFocus
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          onBlur={keepDraft}
          onKeyDown={(event) => {
            if (event.key === 'Enter') keepDraft();
            if (event.key === 'Escape') setDraft(null);
          }}
        />
      )}
      <select
        aria-label={`Owner: ${todo.title}`}
        value={ownerId}
        onChange={(event) => writes.setOwner(todo.id, event.target.value, ownerId)}
      >
        <option value="">Nobody</option>
        {people.map((person) => (
          <option key={person.id} value={person.id}>
            {person.name}
          </option>
        ))}
      </select>
      <button
        type="button"
        className="remove"
        aria-label={`Delete: ${todo.title}`}
        onClick={() => writes.removeTodo(todo.id)}
      >
        ×
      </button>
    </li>
  );
}
