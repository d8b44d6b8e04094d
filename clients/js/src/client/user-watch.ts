import type { TextStorage } from './environment.ts';
import type { CurrentUser, User } from './user.ts';

/** What is kept of a user who signed out; of one whose session ended nothing is. */
const SIGNED_OUT = 'null';

/** Follows who signs in and out in other tabs. Returns what ends it. */
export function watchUser(user: CurrentUser, storage: TextStorage): () => void {
  const heard = (text: string | null) => {
    if (text === user.text) return;
    user.text = text;
    user.become(userOf(text), text === SIGNED_OUT);
  };
  const stop = storage.watch?.(user.key, heard);
  // What happened before this code was here.
  if (stop && !user.state.isLoading) storage.get(user.key).then(heard, () => {});
  return stop ?? (() => {});
}

function userOf(text: string | null): User | null {
  try {
    return text === null ? null : (JSON.parse(text) as User | null);
  } catch {
    return null;
  }
}
