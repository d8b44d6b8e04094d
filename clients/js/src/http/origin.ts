import { TriceError } from '../errors.ts';

/** Where trice listens when it is started without options. */
const LOCAL_SERVER = 'http://localhost:8888';

/**
 * The address of the server, without a slash at its end. The original's word is `apiURI`. Throws
 * `config-malformed`.
 */
export function originOf(config: {
  readonly server?: string | undefined;
  readonly apiURI?: string | undefined;
}): string {
  const server = config.server ?? config.apiURI ?? LOCAL_SERVER;
  if (/^https?:\/\/./.test(server)) return server.replace(/\/+$/, '');
  throw new TriceError({
    code: 'config-malformed',
    message: `A server's address begins with http:// or https://, not ${JSON.stringify(server)}.`,
    hint: { server },
  });
}
