import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `trice serve --sample` serves each folder called `dist`; these pages have a server of their own.
export default defineConfig({ base: './', plugins: [react()], build: { outDir: 'build' } });
