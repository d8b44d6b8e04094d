import { id } from '@instantdb/react';
import { useState } from 'react';
import { db } from './db';

type Chunks = Parameters<typeof db.transact>[0];

/** The notes of whoever is signed in. The query names no owner: the rules decide what is there. */
export function Notes({ ownerId }: { readonly ownerId: string }) {
  const [refusal, setRefusal] = useState<string | null>(null);
  const { isLoading, error, data } = db.useQuery({
    notes: { $: { order: { serverCreatedAt: 'desc' } } },
  });

  function send(chunks: Chunks) {
    setRefusal(null);
    db.transact(chunks).catch((failure: unknown) => {
      setRefusal(failure instanceof Error ? failure.message : String(failure));
    });
  }

  function add(form: FormData) {
    const text = String(form.get('text')).trim();
    if (text === '') return;
    send(db.tx.notes[id()]!.create({ text }).link({ owner: ownerId }));
  }

  return (
    <section aria-label="Your notes">
      {refusal !== null && (
        <div className="refusal" role="alert">
          <p>{refusal}</p>
        </div>
      )}
      <form className="add" action={add}>
        <input name="text" aria-label="New note" placeholder="A note of at most 80 characters" />
        <button type="submit" className="primary">
          Add
        </button>
      </form>
      {error && <p role="alert">{error.message}</p>}
      {isLoading && <p className="quiet empty">Loading…</p>}
      {data?.notes.length === 0 && <p className="quiet empty">Nothing here yet.</p>}
      {data !== undefined && data.notes.length > 0 && (
        <ul className="notes" aria-label="Notes">
          {data.notes.map((note) => (
            <li key={note.id}>
              <span>{note.text}</span>
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
    </section>
  );
}
