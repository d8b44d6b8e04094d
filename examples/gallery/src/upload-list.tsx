import type { Upload } from './uploads';

const WORDS = { waiting: 'waits', sending: 'is being sent', refused: 'was refused' };

/** The pictures that are not on the server yet, and how far they are. */
export function Uploads(props: {
  readonly uploads: readonly Upload[];
  readonly onDismiss: (upload: Upload) => void;
}) {
  if (props.uploads.length === 0) return null;
  return (
    <ul className="uploads" aria-label="Uploads">
      {props.uploads.map((upload) => (
        <li key={upload.id} data-state={upload.state}>
          <bdi>{upload.file.name}</bdi>
          <span className="quiet">
            {WORDS[upload.state]}
            {upload.reason !== null && `: ${upload.reason}`}
          </span>
          {upload.state === 'sending' ? (
            <progress aria-label={`Sending ${upload.file.name}`} />
          ) : (
            <button
              type="button"
              aria-label={`Dismiss: ${upload.file.name}`}
              onClick={() => props.onDismiss(upload)}
            >
              ×
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}
