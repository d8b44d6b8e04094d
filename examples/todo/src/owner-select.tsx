import type { Person } from './schema';

/** Whose a todo is; nobody's if its owner has gone. */
export function OwnerSelect(props: {
  readonly label: string;
  readonly ownerId: string;
  readonly people: readonly Person[];
  readonly onChange: (ownerId: string) => void;
}) {
  return (
    <select
      aria-label={props.label}
      value={props.ownerId}
      onChange={(event) => props.onChange(event.target.value)}
    >
      <option value="">Nobody</option>
      {props.people.map((person) => (
        <option key={person.id} value={person.id} dir="auto">
          {person.name}
        </option>
      ))}
    </select>
  );
}
