import { useState } from 'react';
import type { Photo } from './schema';

const WIDTHS = [320, 640, 1280];

/** The picture in the sizes that the server makes of it; the browser takes the one that fits. */
function sized(url: string, width: number): string {
  return `${url}&w=${width}&fit=contain&format=webp`;
}

export function PhotoCard(props: {
  readonly photo: Photo;
  readonly onCaption: (caption: string) => void;
  readonly onDelete: () => void;
}) {
  const { photo } = props;
  const [caption, setCaption] = useState<string | null>(null);
  const url = photo.file?.url;
  const save = () => {
    if (caption !== null && caption.trim() !== photo.caption) props.onCaption(caption.trim());
    setCaption(null);
  };
  return (
    <li className="photo">
      {url === undefined ? (
        <div className="frame" />
      ) : (
        <a className="frame" href={url} target="_blank" rel="noreferrer">
          <img
            src={sized(url, 640)}
            srcSet={WIDTHS.map((width) => `${sized(url, width)} ${width}w`).join(', ')}
            sizes="(width < 40rem) 50vw, 16rem"
            alt={photo.caption}
            loading="lazy"
          />
        </a>
      )}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <input
          aria-label={`Caption: ${photo.caption}`}
          dir="auto"
          maxLength={200}
          value={caption ?? photo.caption}
          onChange={(event) => setCaption(event.target.value)}
          onBlur={save}
        />
        <button type="button" aria-label={`Delete: ${photo.caption}`} onClick={props.onDelete}>
          ×
        </button>
      </form>
    </li>
  );
}
