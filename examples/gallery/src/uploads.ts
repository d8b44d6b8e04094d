import { id } from '@instantdb/react';
import { useEffect, useRef, useState } from 'react';
import type { Upload as Transfer } from 'tus-js-client';
import { db } from './db';
import { whyRefused } from './failures';
import { allKept, claim, findKept, forget, keep, type Kept } from './kept';
import { giveUp, refusalOf, start, transferOf } from './transfer';

const RETRY_MS = 1_000;

/** One picture on its way to the server. */
export interface Upload extends Kept {
  readonly state: 'waiting' | 'sending' | 'paused' | 'refused';
  /** Why it was refused, for people. */
  readonly reason: string | null;
}

/**
 * The pictures that are not on the server yet. They are sent one after the other; while the page is
 * out of touch with the server they wait, and go on where they stopped once it is back. The browser
 * keeps them, so they go on after a reload too.
 *
 *   waiting ──> sending ──> a photo
 *      ^           │  └──> refused
 *      └─ paused <─┘
 *
 * Each becomes a file, and then a photo that links to it. The photo is an ordinary write of the
 * client: it is kept, and sent once, even if the page loses its server between the two.
 */
export function useUploads() {
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const isConnected = db.useConnectionStatus() === 'authenticated';
  const current = useRef<Transfer | null>(null);
  const next = uploads.find((upload) => upload.state === 'waiting');

  function change(upload: Kept, changed: Partial<Upload>) {
    setUploads((all) =>
      all.map((other) => (other.id === upload.id ? { ...other, ...changed } : other)),
    );
  }

  function drop(upload: Kept) {
    void forget(upload.id);
    setUploads((all) => all.filter((other) => other.id !== upload.id));
  }

  function send(upload: Upload) {
    const transfer = transferOf(
      { ...upload, path: pathOf(upload) },
      {
        onProgress: (sent) => change(upload, { sent }),
        onStored: (fileId) => {
          current.current = null;
          // Not awaited: the client keeps it until the server has it.
          void db.transact(
            db.tx.photos[upload.id]!.update({
              caption: upload.file.name.replace(/[.][^.]*$/, '').slice(0, 200),
              addedAt: Date.now(),
            }).link({ file: fileId }),
          );
          drop(upload);
        },
        onFailure: (error) => {
          const refusal = refusalOf(error);
          if (refusal !== null) {
            current.current = null;
            void forget(upload.id);
            change(upload, { state: 'refused', reason: whyRefused(refusal) });
            return;
          }
          // The page may not have noticed yet that it is out of touch.
          setTimeout(() => {
            if (current.current !== transfer) return;
            current.current = null;
            change(upload, { state: 'waiting' });
          }, RETRY_MS);
        },
      },
    );
    current.current = transfer;
    change(upload, { state: 'sending' });
    void start(transfer, () => current.current === transfer);
  }

  useEffect(() => {
    if (isConnected && next !== undefined && current.current === null) send(next);
  });

  useEffect(() => {
    void allKept().then((kept) => kept.forEach(({ id }) => void takeOver(id)));
  }, []);

  async function takeOver(id: string) {
    await claim(id);
    const upload = await findKept(id);
    if (upload !== null) setUploads((all) => [...without(all, upload), shown(upload)]);
  }

  /** A picture shows once the browser keeps it: then the page may be closed. */
  async function addOne(upload: Kept) {
    await claim(upload.id);
    await keep(upload);
    setUploads((all) => [...all, shown(upload)]);
  }

  function stop(upload: Upload): Transfer {
    const transfer = current.current;
    if (upload.state !== 'sending' || transfer === null)
      return transferOf({ ...upload, path: pathOf(upload) });
    current.current = null;
    void transfer.abort();
    return transfer;
  }

  return {
    uploads,
    add(files: Iterable<File>) {
      for (const file of files) void addOne({ id: id(), file, isPaused: false, sent: 0 });
    },
    pause(upload: Upload) {
      stop(upload);
      change(upload, { state: 'paused', isPaused: true });
      void keep({ ...upload, isPaused: true });
    },
    resume(upload: Upload) {
      change(upload, { state: 'waiting', isPaused: false });
      void keep({ ...upload, isPaused: false });
    },
    dismiss(upload: Upload) {
      void giveUp(stop(upload));
      drop(upload);
    },
  };
}

function shown(upload: Kept): Upload {
  return { ...upload, state: upload.isPaused ? 'paused' : 'waiting', reason: null };
}

function without(uploads: readonly Upload[], upload: Kept): readonly Upload[] {
  return uploads.filter((other) => other.id !== upload.id);
}

/** Where the file of a photo is kept: two of one name do not meet. */
function pathOf(upload: Kept): string {
  const ending = upload.file.name.split('.').pop() ?? '';
  return `photos/${upload.id}.${ending.toLowerCase()}`;
}
