const parameters = new URLSearchParams(location.search);

/** Which app to open: `?app=<id>` in the address, else VITE_TRICE_APP_ID at build time, else "". */
export const appId = parameters.get('app') ?? import.meta.env.VITE_TRICE_APP_ID ?? '';

/** Whether that is an id at all. The client throws on anything else. */
export const isAppId =
  /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i.test(appId);

/**
 * Origin of the trice server, no slash at the end: VITE_TRICE_SERVER at build time, else where the
 * page came from. Never from the address: a link could send the visitor's token to another server.
 */
export const server = (import.meta.env.VITE_TRICE_SERVER ?? location.origin).replace(/\/+$/, '');
