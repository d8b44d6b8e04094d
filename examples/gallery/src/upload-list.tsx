import type { Upload } from './uploads';

const WORDS = {
  waiting: 'waits',
  sending: 'is being sent',
  paused: 'is paused',
  refused: 'was refused',
};

interface Actions {
  readonly onPause: (upload: Upload) => void;
  readonly onResume: (upload: Upload) => void;
  readonly onDismiss: (upload: Upload) => void;
}

/** The pictures that are not on the server yet, and how far they are. */
export function Uploads(props: Actions & { readonly uploads: readonly Upload[] }) {
  if (props.uploads.length === 0) return null;
  return (
    <ul className="uploads" aria-label="Uploads">
      {props.uploads.map((upload) => (
        <UploadRow key={upload.id} upload={upload} {...props} />
      ))}
    </ul>
  );
}

function UploadRow(props: Actions & { readonly upload: Upload }) {
  const { upload } = props;
  const { name, size } = upload.file;
  const percent = size === 0 ? 0 : Math.floor((100 * upload.sent) / size);
  const isRefused = upload.state === 'refused';
  return (
    <li data-state={upload.state}>
      <span className="name">
        <bdi>{name}</bdi>{' '}
        <span className="quiet">
          {WORDS[upload.state]}
          {upload.reason !== null && `: ${upload.reason}`}
        </span>
      </span>
      {!isRefused && (
        <span className="quiet percent" aria-hidden="true">
          {percent} %
        </span>
      )}
      {upload.state === 'sending' ? (
        <button type="button" aria-label={`Pause: ${name}`} onClick={() => props.onPause(upload)}>
          Pause
        </button>
      ) : upload.state === 'paused' ? (
        <button type="button" aria-label={`Resume: ${name}`} onClick={() => props.onResume(upload)}>
          Resume
        </button>
      ) : null}
      <button type="button" aria-label={`Dismiss: ${name}`} onClick={() => props.onDismiss(upload)}>
        ×
      </button>
      {!isRefused && <progress aria-label={`Sent of ${name}`} value={percent} max={100} />}
    </li>
  );
}
