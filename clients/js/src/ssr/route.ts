import type { User } from '../client/user.ts';
import { setCookie } from '../http/cookie.ts';
import { isObject } from '../values/json.ts';

/** What is taken of a request of the web. */
interface RequestLike {
  readonly headers: { get(name: string): string | null };
  json(): Promise<unknown>;
}

/** The answer of the platform, which is given as what it is. */
type ResponseLike = object;

/**
 * Handles what the client says at `firstPartyPath`: who is signed in goes into a cookie of the
 * app's own site, from which pages are made. Routes take it as it is:
 *
 *     export const { POST } = createRouteHandler({ appId: '…' });
 *
 * Scripts cannot read the cookie, and it holds for seven days; the client renews it each day.
 */
export function createRouteHandler({ appId }: { readonly appId: string }): {
  /** Answers 200 with a cookie; 400, 403 or 415 where the request is not the client's. */
  POST: (request: RequestLike) => Promise<any>;
} {
  return {
    POST: async (request) => {
      const refusal = refusalOf(request);
      if (refusal) return refused(...refusal);
      const body = await request.json().catch(() => null);
      if (!isObject(body)) return refused(400, 'The body is no JSON object.');
      if (body.appId !== appId) return refused(403, "This route is another app's.");
      if (body.type !== 'sync-user') return refused(400, 'The type is unknown.');
      const user = isObject(body.user) && typeof body.user.refresh_token === 'string';
      const cookie = setCookie(appId, user ? (body.user as User) : null);
      return answer(200, { ok: true }, { 'set-cookie': cookie });
    },
  };
}

/** Another site must not sign the user in as somebody else. */
function refusalOf({ headers }: RequestLike): [number, string] | null {
  const site = headers.get('sec-fetch-site');
  if (site === 'cross-site' || site === 'same-site')
    return [403, 'Only pages of this origin may say who is signed in.'];
  const type = headers.get('content-type') ?? '';
  return /^application\/json\b/i.test(type) ? null : [415, 'The body must be application/json.'];
}

function refused(status: number, error: string): ResponseLike {
  return answer(status, { ok: false, error }, {});
}

function answer(
  status: number,
  body: object,
  headers: Readonly<Record<string, string>>,
): ResponseLike {
  const { Response } = globalThis as unknown as {
    Response: new (body: string, init: object) => ResponseLike;
  };
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
  });
}
