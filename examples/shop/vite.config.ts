import { readFileSync } from 'node:fs';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** The app that `trice dev` runs in this folder, unless the environment names another. */
function place(): { readonly server: string; readonly appId: string } {
  const { VITE_TRICE_SERVER: server, VITE_TRICE_APP_ID: appId } = process.env;
  if (server && appId) return { server, appId };
  try {
    const dev = JSON.parse(readFileSync(`${import.meta.dirname}/.trice/dev.json`, 'utf8'));
    return { server: dev.server, appId: dev.app };
  } catch {
    throw new Error('Run `trice dev` here first, or set VITE_TRICE_SERVER and VITE_TRICE_APP_ID.');
  }
}

// `trice serve --sample` serves each folder called `dist`; this page belongs to a project.
export default defineConfig(() => ({
  base: './',
  plugins: [react()],
  define: { __TRICE__: JSON.stringify(place()) },
  build: { outDir: 'build' },
}));
