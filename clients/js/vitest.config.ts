import { compile } from 'svelte/compiler';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [
    {
      name: 'svelte',
      transform: (code, id) =>
        id.endsWith('.svelte') ? compile(code, { filename: id, generate: 'client' }).js : null,
    },
  ],
  // Svelte and Solid have one build for browsers, which the tests of hooks want, and one for Node.
  resolve: { conditions: ['browser', 'development', 'import'] },
  test: {
    include: ['tests/**/*.test.ts', 'tests/**/*.test.tsx'],
    server: { deps: { inline: ['svelte', 'solid-js'] } },
    // Code that is fetched later is there: so only the clock counts.
    setupFiles: ['tests/support/code.ts'],
    // Types are tested by the compiler: it reports what it refuses as failures of those files.
    typecheck: {
      enabled: true,
      include: ['tests/types/*.test-d.ts'],
      tsconfig: 'tests/types/tsconfig.json',
    },
    // A machine that is four times slower must not fail.
    testTimeout: 30_000,
    reporters: ['dot'],
  },
});
