import { id } from '@instantdb/react';
import { useState, type FormEvent } from 'react';
import { db } from './db';
import { Failed, Refusal, whyRefused } from './failures';
import { useKeptFocus } from './kept-focus';

type Chunks = Parameters<typeof db.transact>[0];

/** The notes of whoever is signed in. The query names no owner: the rules decide what is there. */
export function Notes({ ownerId }: { readonly ownerId: string }) {
  const [text, setText] = useState('');
  const [refusal, setRefusal] = useState<string | null>(null);
  const region = useKeptFocus();
  const { isLoading, error, data } = db.useQuery({
    notes: { $: { order: { serverCreatedAt: 'desc' } } },
  });

  function send(chunks: Chunks) {
    setRefusal(null);
    db.transact(chunks).catch((failure: unknown) => setRefusal(whyRefused(failure)));
  }

  function add(event: FormEvent) {
    event.preventDefault();
    if (text.trim() === '') return;
    send(db.tx.notes[id()]!.create({ text: text.trim() }).link({ owner: ownerId }));
    setText('');
  }

  return (
    <section ref={region} tabIndex={-1} aria-label="Your notes">
      {refusal !== null && <Refusal text={refusal} onDismiss={() => setRefusal(null)} />}
      <form className="add" onSubmit={add}>
        <input
          aria-label="New note"
          placeholder="A note of at most 80 characters"
          dir="auto"
          maxLength={80}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <button type="submit" className="primary">
          Add
        </button>
      </form>
      {error && <Failed text="The notes could not be loaded. Please reload." error={error} />}
      {isLoading && <p className="quiet empty">Loading…</p>}
      {data?.notes.length === 0 && <p className="quiet empty">Nothing here yet.</p>}
      {data !== undefined && data.notes.length > 0 && (
        <ul className="notes" aria-label="Notes">
          {data.notes.map((note) => (
            <li key={note.id}>
              <span dir="auto">{note.text}</span>
              <button
                type="button"
                className="remove"
                aria-label={`Delete: ${note.text}`}
                onClick={() => send(db.tx.notes[note.id]!.delete())}
              >
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
      <p className="quiet hint">
        <a href="" target="_blank">
          Open a second window
        </a>{' '}
        and see your notes arrive there at once.
      </p>
    </section>
  );
}
