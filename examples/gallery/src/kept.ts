import { appId } from './settings';

/** A picture that is not on the server yet, as this browser keeps it. */
export interface Kept {
  readonly id: string;
  readonly file: File;
  readonly isPaused: boolean;
  /** Bytes that the server had when it was paused. */
  readonly sent: number;
}

const STORE = 'uploads';

/** The database of this browser; a page that may have none forgets its pictures on a reload. */
const database: Promise<IDBDatabase | null> = new Promise<IDBDatabase>((resolve, reject) => {
  const opening = indexedDB.open(`gallery ${appId}`, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: 'id' });
  opening.onsuccess = () => resolve(opening.result);
  opening.onerror = () => reject(opening.error);
}).catch(() => null);

async function ask<T>(
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T | null> {
  const opened = await database;
  if (opened === null) return null;
  return new Promise<T>((resolve, reject) => {
    const transaction = opened.transaction(STORE, mode);
    const request = work(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
  }).catch(() => null);
}

/** Keep a picture over a reload. */
export async function keep(upload: Kept): Promise<void> {
  const { id, file, isPaused, sent } = upload;
  await ask('readwrite', (store) => store.put({ id, file, isPaused, sent }));
}

export async function forget(id: string): Promise<void> {
  await ask('readwrite', (store) => store.delete(id));
}

/** All that this browser keeps, those of its other tabs too. */
export async function allKept(): Promise<readonly Kept[]> {
  return (await ask<Kept[]>('readonly', (store) => store.getAll())) ?? [];
}

/** One of them; null: it was sent, or given up, in another tab. */
export async function findKept(id: string): Promise<Kept | null> {
  return (await ask<Kept | undefined>('readonly', (store) => store.get(id))) ?? null;
}

/**
 * Make this tab the one that sends a picture, as soon as no other tab is, until this tab is closed.
 * Browsers lock only on secure pages; elsewhere two tabs may send the same, which the server bears.
 */
export function claim(id: string): Promise<void> {
  return new Promise((resolve) => {
    if (!('locks' in navigator)) return resolve();
    void navigator.locks.request(`gallery ${id}`, () => {
      resolve();
      return new Promise<never>(() => {});
    });
  });
}
