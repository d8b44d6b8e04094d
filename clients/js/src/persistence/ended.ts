/** Users whose session the server ended: what waited for them is kept for a while. */
import type { Disks } from '../client/disk.ts';
import type { Environment } from '../client/environment.ts';
import { isObject } from '../values/json.ts';
import { KEPT_MS } from './entries.ts';

export interface EndedOptions {
  readonly environment: Pick<Environment, 'now' | 'storage'>;
  readonly disks: Disks;
  /** Of the text in storage that has them. */
  readonly key: string;
  /** The name of a user's database. */
  nameOf(user: string): string;
}

/** The server ended the session of a user. */
export function noteEnded(options: EndedOptions, user: string): Promise<void> {
  return change(options, (ended) => ({ ...ended, [user]: options.environment.now() }));
}

/** Deletes databases of users whose session ended too long ago. `user` is here again. */
export async function sweepEnded(options: EndedOptions, user: string | null): Promise<void> {
  const { disks, environment, nameOf } = options;
  const late: string[] = [];
  await change(options, (ended) => {
    const now = environment.now();
    const users = Object.keys(ended);
    late.push(...users.filter((one) => now - ended[one]! >= KEPT_MS));
    const kept = users.filter((one) => one !== user && !late.includes(one));
    return Object.fromEntries(kept.map((one) => [one, ended[one]!]));
  });
  for (const one of late) {
    const wiped = disks.open(nameOf(one)).then((disk) => disk.wipe());
    if (one === user) await wiped.catch(() => undefined);
    else wiped.catch(() => undefined);
  }
}

/** Changes who is noted, with the time of that. */
async function change(
  { environment, key }: EndedOptions,
  changed: (ended: Readonly<Record<string, number>>) => Readonly<Record<string, number>>,
): Promise<void> {
  const { storage } = environment;
  try {
    const text = await storage.get(key);
    const parsed: unknown = text === null ? {} : JSON.parse(text);
    const after = changed(isObject(parsed) ? (parsed as Record<string, number>) : {});
    if (Object.keys(after).length > 0) await storage.set(key, JSON.stringify(after));
    else if (text !== null) await storage.remove(key);
  } catch {
    // Without storage no user is remembered, and no session was.
  }
}
