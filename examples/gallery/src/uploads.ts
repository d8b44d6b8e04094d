import { id } from '@instantdb/react';
import { useEffect, useRef, useState } from 'react';
import { db } from './db';
import { whyRefused } from './failures';

/** One picture on its way to the server. */
export interface Upload {
  readonly id: string;
  readonly file: File;
  readonly state: 'waiting' | 'sending' | 'refused';
  /** Why it was refused, for people. */
  readonly reason: string | null;
}

/**
 * The pictures that are not on the server yet. They are sent one after the other; while the page is
 * out of touch with the server they wait, and go on where they stopped once it is back.
 *
 * Each becomes a file, and then a photo that links to it. The photo is an ordinary write of the
 * client: it is kept, and sent once, even if the page loses its server between the two.
 */
export function useUploads() {
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const isConnected = db.useConnectionStatus() === 'authenticated';
  const isSending = useRef(false);
  const next = uploads.find((upload) => upload.state === 'waiting');

  function set(changed: Upload, state: Upload['state'], reason: string | null = null) {
    setUploads((all) =>
      all.map((upload) => (upload.id === changed.id ? { ...upload, state, reason } : upload)),
    );
  }

  async function send(upload: Upload) {
    isSending.current = true;
    set(upload, 'sending');
    try {
      const stored = await db.storage.uploadFile(pathOf(upload), upload.file, {
        contentType: upload.file.type,
      });
      // Not awaited: the client keeps it until the server has it.
      void db.transact(
        db.tx.photos[upload.id]!.update({
          caption: upload.file.name.replace(/[.][^.]*$/, '').slice(0, 200),
          addedAt: Date.now(),
        }).link({ file: stored.data.id }),
      );
      setUploads((all) => all.filter((other) => other.id !== upload.id));
    } catch (error) {
      // A failed request is tried again once the page is back in touch; an answer is final.
      const isAnswer = error instanceof Error && error.name === 'InstantAPIError';
      if (isAnswer) set(upload, 'refused', whyRefused(error));
      else set(upload, 'waiting');
    } finally {
      isSending.current = false;
    }
  }

  useEffect(() => {
    if (isConnected && next !== undefined && !isSending.current) void send(next);
  });

  return {
    uploads,
    add(files: Iterable<File>) {
      const added = Array.from(files, waiting);
      setUploads((all) => [...all, ...added]);
    },
    dismiss(upload: Upload) {
      setUploads((all) => all.filter((other) => other.id !== upload.id));
    },
  };
}

function waiting(file: File): Upload {
  return { id: id(), file, state: 'waiting', reason: null };
}

/** Where the file of a photo is kept: two of one name do not meet. */
function pathOf(upload: Upload): string {
  const ending = upload.file.name.split('.').pop() ?? '';
  return `photos/${upload.id}.${ending.toLowerCase()}`;
}
