import { id } from '@instantdb/react';
import { useState, type FocusEvent, type FormEvent, type KeyboardEvent } from 'react';
import { Failure, reasonOf } from './failures';
import { useKeptFocus } from './kept-focus';
import type { Fields, ProjectDb, Type } from './workshop';

type Value = string | number | boolean | null | undefined;
type Thing = Readonly<Record<string, Value>> & { readonly id: string };
type Save = (thingId: string, values: Record<string, Value>) => void;

/** How many things of a kind the page shows, the newest. */
const SHOWN_MAX = 200;
/** A field of this name is when a thing was made: the page fills it in. */
const MADE_AT = 'sentAt';

const INPUT_TYPES = {
  string: 'text',
  number: 'number',
  date: 'date',
  boolean: 'checkbox',
} as const satisfies Record<Type, string>;

const ORDER: readonly Type[] = ['boolean', 'string', 'number', 'date'];

/** The fields in the order of the page: when it was made, what is ticked, texts, and the rest. */
function inOrder(fields: Fields): [field: string, type: Type][] {
  const place = ([field, type]: [string, Type]) => (field === MADE_AT ? -1 : ORDER.indexOf(type));
  return Object.entries(fields).sort((one, other) => place(one) - place(other));
}

/** Everything of one kind in an app, live, whatever fields it has by now. */
export function Things(props: {
  readonly db: ProjectDb;
  readonly kind: string;
  readonly fields: Fields;
}) {
  const { db, kind, fields } = props;
  const region = useKeptFocus();
  const [failure, setFailure] = useState<string | null>(null);
  const { isLoading, error, data } = db.useQuery({
    [kind]: { $: { order: { serverCreatedAt: 'desc' }, limit: SHOWN_MAX } },
  });
  const things = ((data?.[kind] ?? []) as unknown as Thing[]).toReversed();

  function send(chunk: Parameters<typeof db.transact>[0]) {
    setFailure(null);
    db.transact(chunk).catch((refusal: unknown) => setFailure(reasonOf(refusal)));
  }
  const save: Save = (thingId, values) => send(db.tx[kind]![thingId]!.update(values));

  return (
    <section ref={region} tabIndex={-1} aria-label={kind} className="card">
      <h2>{kind}</h2>
      {error && <Failure text="This could not be loaded. Please reload the page." />}
      {isLoading && <p className="quiet">Loading…</p>}
      {data !== undefined && things.length === 0 && <p className="quiet">Nothing here.</p>}
      <ul className="things" aria-label={kind}>
        {things.map((thing) => (
          <li key={thing.id}>
            <Row thing={thing} fields={fields} save={save} />
            <button
              type="button"
              className="delete"
              aria-label={`Delete: ${nameOf(thing, fields)}`}
              onClick={() => send(db.tx[kind]![thing.id]!.delete())}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
      <Failure text={failure} />
      <Add kind={kind} fields={fields} onAdd={(values) => save(id(), values)} />
    </section>
  );
}

/** What a thing is called: its first text. */
function nameOf(thing: Thing, fields: Fields): string {
  const label = inOrder(fields).find(([, type]) => type === 'string')?.[0];
  return String((label && thing[label]) || 'without a name');
}

function Row(props: { readonly thing: Thing; readonly fields: Fields; readonly save: Save }) {
  const { thing, fields, save } = props;
  const name = nameOf(thing, fields);
  return (
    <div className="row">
      {inOrder(fields).map(([field, type]) => {
        const value = thing[field];
        if (field === MADE_AT && type === 'date') return <MadeAt key={field} value={value} />;
        return (
          <Cell
            // Someone else's change replaces what stands there.
            key={`${field} ${value}`}
            label={`${field}: ${name}`}
            field={field}
            type={type}
            value={value}
            onChange={(next) => save(thing.id, { [field]: next })}
          />
        );
      })}
    </div>
  );
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

function MadeAt({ value }: { readonly value: Value }) {
  if (typeof value !== 'string' && typeof value !== 'number') return null;
  const moment = new Date(value);
  return (
    <time className="quiet" dateTime={moment.toISOString()}>
      {TIME.format(moment)}
    </time>
  );
}

/** A value that can be changed where it stands; it is sent when the person leaves it. */
function Cell(props: {
  readonly label: string;
  readonly field: string;
  readonly type: Type;
  readonly value: Value;
  readonly onChange: (value: Value) => void;
}) {
  const { label, field, type, value, onChange } = props;
  if (type === 'boolean') {
    return (
      <label className="choice">
        <input
          type="checkbox"
          aria-label={label}
          checked={value === true}
          onChange={(event) => onChange(event.target.checked)}
        />
        <small className="quiet">{field}</small>
      </label>
    );
  }
  const shown = shownAs(type, value);
  const shared = {
    className: type,
    dir: 'auto',
    'aria-label': label,
    placeholder: field,
    defaultValue: shown,
    onKeyDown(event: KeyboardEvent<HTMLInputElement | HTMLTextAreaElement>) {
      if (event.key !== 'Enter') return;
      event.preventDefault();
      event.currentTarget.blur();
    },
    onBlur(event: FocusEvent<HTMLInputElement | HTMLTextAreaElement>) {
      if (event.target.value !== shown) onChange(valueOf(type, event.target.value));
    },
  };
  return type === 'string' ? (
    <textarea {...shared} rows={1} maxLength={1000} />
  ) : (
    <input {...shared} type={INPUT_TYPES[type]} step="any" />
  );
}

/** The form that adds a thing, with an input for each field. */
function Add(props: {
  readonly kind: string;
  readonly fields: Fields;
  readonly onAdd: (values: Record<string, Value>) => void;
}) {
  const asked = inOrder(props.fields).filter(
    ([field, type]) => type !== 'boolean' && field !== MADE_AT,
  );

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const values: Record<string, Value> = {};
    for (const [field, type] of asked) {
      const value = valueOf(type, String(form.get(field) ?? '').trim());
      if (value !== null) values[field] = value;
    }
    if (asked.length > 0 && Object.keys(values).length === 0) return;
    for (const [field, type] of Object.entries(props.fields)) {
      if (type === 'boolean') values[field] = false;
      if (type === 'date' && field === MADE_AT) values[field] = new Date().toISOString();
    }
    props.onAdd(values);
    event.currentTarget.reset();
  }

  return (
    <form className="line" onSubmit={submit} aria-label={`Add to ${props.kind}`}>
      {asked.map(([field, type]) => (
        <input
          key={field}
          className={type}
          type={INPUT_TYPES[type]}
          step="any"
          dir="auto"
          name={field}
          aria-label={`New ${props.kind}: ${field}`}
          placeholder={field}
          maxLength={1000}
        />
      ))}
      <button type="submit" className="primary">
        Add
      </button>
    </form>
  );
}

function shownAs(type: Type, value: Value): string {
  if (value === null || value === undefined) return '';
  if (type === 'date') return new Date(value as string | number).toISOString().slice(0, 10);
  return String(value);
}

/** What an input's text means; null: nothing. */
function valueOf(type: Type, text: string): Value {
  if (text === '') return null;
  return type === 'number' ? Number(text) : text;
}
