import { useState } from 'react';
import { useKeptFocus } from './kept-focus';
import type { Person } from './schema';
import type { Writes } from './writes';

/** Who can own a todo. Names are unique, which the server checks. */
export function People(props: {
  readonly people: readonly Person[];
  readonly writes: Writes;
}) {
  const [name, setName] = useState('');
  const region = useKeptFocus();
  return (
    <section ref={region} tabIndex={-1} aria-labelledby="people-heading">
      <h2 id="people-heading">People</h2>
      {props.people.length > 0 && (
        <ul className="people" aria-label="People">
          {props.people.map((person) => (
            <li key={person.id}>
              <span dir="auto">{person.name}</span>
              <button
                type="button"
                className="remove"
                aria-label={`Remove ${person.name}`}
                onClick={() => props.writes.removePerson(person.id)}
              >
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
      <form
        className="add"
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim() === '') return;
          props.writes.addPerson(name.trim());
          setName('');
        }}
      >
        <input
          aria-label="New person"
          placeholder="Name"
          dir="auto"
          maxLength={50}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <button type="submit">Add person</button>
      </form>
    </section>
  );
}
