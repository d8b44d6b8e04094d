/// <reference types="vite/client" />

/** Where the shop's app is: vite.config.ts. */
declare const __TRICE__: { readonly server: string; readonly appId: string };
