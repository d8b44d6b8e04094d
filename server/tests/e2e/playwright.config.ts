import { defineConfig } from '@playwright/test';

// The browser is the machine's own Chromium; nothing is downloaded.
export default defineConfig({
  testDir: '.',
  outputDir: '../../../test-results',
  reporter: 'list',
  workers: 2,
  fullyParallel: true,
  forbidOnly: process.env['CI'] !== undefined,
  timeout: 60_000,
  expect: { timeout: 20_000 },
  use: {
    browserName: 'chromium',
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        // Where things are after a key is where they stay.
        '--disable-smooth-scrolling',
      ],
    },
  },
});
