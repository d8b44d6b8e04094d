import { defineConfig } from '@playwright/test';

// Waits are there so that a test that is wrong ends at all (support/patience.py).
const patience = Number(process.env['TRICE_TEST_PATIENCE'] ?? 1);

// The browser is the machine's own Chromium; nothing is downloaded.
export default defineConfig({
  testDir: '.',
  outputDir: '../../../test-results',
  reporter: 'list',
  workers: 2,
  fullyParallel: true,
  // On Instant's client, and the samples again on trice's own.
  projects: [
    { name: 'instant' },
    { name: 'tricedb', testMatch: /\/(todo|chat|outage|refusal|sign-in)\.spec\.ts$/ },
  ],
  forbidOnly: process.env['CI'] !== undefined,
  timeout: 240_000 * patience,
  expect: { timeout: 60_000 * patience },
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
