import { useState, type DragEvent } from 'react';
import { Connection } from './connection';
import { db } from './db';
import { NotLoaded, Refusal, whyRefused } from './failures';
import { NoApp } from './no-app';
import { PhotoCard } from './photo';
import { Uploads } from './upload-list';
import { useUploads } from './uploads';

export function App() {
  const queue = useUploads();
  const [isOver, setIsOver] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);
  const { data, error, isLoading } = db.useQuery({
    photos: { $: { order: { addedAt: 'desc' } }, file: {} },
  });
  if (db.useConnectionStatus() === 'errored') return <NoApp />;

  function transact(chunks: Parameters<typeof db.transact>[0]) {
    db.transact(chunks).catch((failure: unknown) => setRefusal(whyRefused(failure)));
  }

  const photos = data?.photos ?? [];
  return (
    <main
      data-over={isOver}
      onDragOver={(event) => {
        event.preventDefault();
        setIsOver(true);
      }}
      onDragLeave={(event) => setIsOver(leavesInside(event))}
      onDrop={(event) => {
        event.preventDefault();
        setIsOver(false);
        queue.add(event.dataTransfer.files);
      }}
    >
      <header>
        <h1>Gallery</h1>
        <Connection />
        <label className="add primary">
          Add photos
          <input
            type="file"
            accept="image/jpeg,image/png,image/webp,image/gif"
            multiple
            onChange={(event) => {
              queue.add(event.target.files ?? []);
              event.target.value = '';
            }}
          />
        </label>
      </header>
      {refusal !== null && <Refusal text={refusal} onDismiss={() => setRefusal(null)} />}
      <Uploads
        uploads={queue.uploads}
        onPause={queue.pause}
        onResume={queue.resume}
        onDismiss={queue.dismiss}
      />
      {error ? (
        <NotLoaded error={error} />
      ) : isLoading ? (
        <p className="quiet empty">Loading…</p>
      ) : photos.length === 0 ? (
        <p className="quiet empty">No photos yet. Drop some here.</p>
      ) : (
        <ul className="photos" aria-label="Photos">
          {photos.map((photo) => (
            <PhotoCard
              key={photo.id}
              photo={photo}
              onCaption={(caption) => transact(db.tx.photos[photo.id]!.update({ caption }))}
              onDelete={() => {
                const file = photo.file && db.tx.$files[photo.file.id]!.delete();
                const row = db.tx.photos[photo.id]!.delete();
                transact(file ? [file, row] : row);
              }}
            />
          ))}
        </ul>
      )}
    </main>
  );
}

/** Whether a drag that left one element is still over the page. */
function leavesInside(event: DragEvent<HTMLElement>): boolean {
  return event.relatedTarget instanceof Node && event.currentTarget.contains(event.relatedTarget);
}
