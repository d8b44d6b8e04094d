import { useRef, useState, type FormEvent } from 'react';
import { Failure, useTask } from './failures';
import type { Addition, Project, Type, Workshop } from './workshop';

const TYPES: Readonly<Record<Type, string>> = {
  string: 'Text',
  number: 'Number',
  boolean: 'Yes or no',
  date: 'Date',
};
const NEW = '';

/** Adds a field, or a kind of thing with its first one: shows what would change, then does it. */
export function Grow(props: { readonly workshop: Workshop; readonly project: Project }) {
  const { workshop, project } = props;
  const kinds = Object.keys(project.shape);
  const [chosen, setChosen] = useState(kinds[0] ?? NEW);
  const [newKind, setNewKind] = useState('');
  const [field, setField] = useState('');
  const [type, setType] = useState<Type>('string');
  const [planned, setPlanned] = useState<{ addition: Addition; steps: string[] } | null>(null);
  const { isBusy, failure, run } = useTask();
  const fieldInput = useRef<HTMLInputElement>(null);

  function plan(event: FormEvent) {
    event.preventDefault();
    const addition = { kind: chosen || newKind.trim(), field: field.trim(), type };
    void run(async () => {
      setPlanned(null);
      const { steps } = await workshop.plan(project, addition);
      setPlanned({ addition, steps });
    });
  }

  function push() {
    if (planned === null) return;
    void run(async () => {
      await workshop.push(project, planned.addition);
      setPlanned(null);
      setField('');
      setNewKind('');
      setChosen(planned.addition.kind);
      // The button that had the focus goes.
      fieldInput.current?.focus();
    });
  }

  return (
    <section className="card" aria-label="Change this app">
      <h2>Change this app</h2>
      <p className="quiet">Every page that has it open shows the change at once.</p>
      <form className="line" onSubmit={plan}>
        <label>
          <small>Add to</small>
          <select
            aria-label="Add to"
            value={chosen}
            onChange={(event) => setChosen(event.target.value)}
          >
            {kinds.map((kind) => (
              <option key={kind}>{kind}</option>
            ))}
            <option value={NEW}>a new kind…</option>
          </select>
        </label>
        {chosen === NEW && <Name label="Kind" value={newKind} onChange={setNewKind} />}
        <Name label="Field" value={field} onChange={setField} inputRef={fieldInput} />
        <label>
          <small>Type</small>
          <select
            aria-label="Type"
            value={type}
            onChange={(event) => setType(event.target.value as Type)}
          >
            {Object.entries(TYPES).map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" disabled={isBusy}>
          Show what changes
        </button>
      </form>
      {planned !== null && (
        <div className="plan" role="status">
          <ul aria-label="What changes">
            {planned.steps.map((step) => (
              <li key={step}>{step}</li>
            ))}
          </ul>
          <button type="button" className="primary" disabled={isBusy} onClick={push}>
            Change it
          </button>
        </div>
      )}
      <Failure text={failure} />
    </section>
  );
}

function Name(props: {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly inputRef?: React.Ref<HTMLInputElement>;
}) {
  return (
    <label>
      <small>{props.label}</small>
      <input
        ref={props.inputRef}
        value={props.value}
        required
        maxLength={30}
        autoCapitalize="none"
        pattern="[a-z][a-zA-Z0-9]*"
        title="Letters and digits, a small letter first"
        onChange={(event) => props.onChange(event.target.value)}
      />
    </label>
  );
}
