import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// A relative base lets the built `dist/` be served under any path.
export default defineConfig({ base: './', plugins: [react()] });
