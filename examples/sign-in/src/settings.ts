const parameters = new URLSearchParams(location.search);

/** Which app to open: `?app=<id>` in the address, else VITE_TRICE_APP_ID at build time, else "". */
export const appId = parameters.get('app') ?? import.meta.env.VITE_TRICE_APP_ID ?? '';

/** Origin of the trice server, no slash at the end: `?api=<url>`, else where the page came from. */
export const server = (parameters.get('api') ?? location.origin).replace(/\/+$/, '');

/** Name of the app's OAuth client: `?provider=<name>`, else VITE_TRICE_PROVIDER; "" for none. */
export const provider = parameters.get('provider') ?? import.meta.env.VITE_TRICE_PROVIDER ?? '';
