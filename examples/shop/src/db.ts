import { init } from 'tricedb/react';
import { schema } from '../client/api.ts';

export const db = init({ appId: __TRICE__.appId, server: __TRICE__.server, schema });

/** Be somebody, so that there is a cart: a guest, until they sign in. */
export async function beSomebody(): Promise<void> {
  if ((await db.getAuth()) === null) await db.auth.signInAsGuest();
}
