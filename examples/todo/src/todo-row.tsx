import { useState } from 'react';
import { OwnerSelect } from './owner-select';
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
          dir="auto"
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
          dir="auto"
          maxLength={200}
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          onFocus={(event) => event.target.select()}
          onBlur={keepDraft}
          onKeyDown={(event) => {
            // While an input method composes a word, Enter belongs to it.
            if (event.nativeEvent.isComposing) return;
            if (event.key === 'Enter') {
              // Or it would press the button that has the focus next.
              event.preventDefault();
              keepDraft();
            }
            if (event.key === 'Escape') setDraft(null);
          }}
        />
      )}
      <OwnerSelect
        label={`Owner: ${todo.title}`}
        ownerId={ownerId}
        people={people}
        onChange={(nextId) => writes.setOwner(todo.id, nextId, ownerId)}
      />
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
