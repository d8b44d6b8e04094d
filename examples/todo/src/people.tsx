import { useState } from 'react';
import type { Person } from './schema';
import type { Writes } from './writes';

/** Who can own a todo. Names are unique, which the server checks. */
export function People(props: {
  readonly people: readonly Person[];
  readonly writes: Writes;
}) {
  const [name, setName] = useState('');
  return (
    <section aria-labelledby="people-heading">
      <h2 id="people-heading">People</h2>
      <ul className="people" aria-label="People">
        {props.people.map((person) => (
          <li key={person.id}>
            <span>{person.name}</span>
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
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <button type="submit">Add person</button>
      </form>
    </section>
  );
}
