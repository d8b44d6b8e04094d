import { resolve } from 'node:path';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const SDK = resolve(import.meta.dirname, '../../../clients/js/dist');

// A sample app on trice's own client: nothing but the package behind its imports is another.
export default defineConfig({
  base: './',
  plugins: [react()],
  resolve: {
    alias: [{ find: '@instantdb/react', replacement: `${SDK}/react/index.js` }],
    dedupe: ['react', 'react-dom'],
  },
  build: { outDir: 'dist/tricedb' },
});
