import AxeBuilder from '@axe-core/playwright';
import { expect, type Page } from '@playwright/test';

const DESKTOP = { width: 1280, height: 800 };
const PHONES = [
  { width: 390, height: 844 },
  { width: 320, height: 568 },
];

/**
 * Look at the page as it stands: on phones and a desktop it scrolls in one direction only, and axe
 * finds nothing, neither in the light nor in the dark. Leaves it as a light desktop.
 */
export async function examine(page: Page): Promise<void> {
  for (const size of PHONES) {
    await page.setViewportSize(size);
    await expectNothingWider(page);
  }
  await expectAccessible(page);
  await page.setViewportSize(DESKTOP);
  await expectNothingWider(page);
  // Only colours differ.
  await page.emulateMedia({ colorScheme: 'dark' });
  await expectAccessible(page, ['color-contrast', 'link-in-text-block']);
  await page.emulateMedia({ colorScheme: 'light' });
}

async function expectNothingWider(page: Page): Promise<void> {
  const excess = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(excess, 'pixels that the page is wider than the window').toBe(0);
}

/** `rules` are those of axe to check; all that apply if left out. */
async function expectAccessible(page: Page, rules?: string[]): Promise<void> {
  // Legacy mode opens no page of its own for the results; there are no frames here to need it.
  const axe = new AxeBuilder({ page }).setLegacyMode();
  const { violations, passes } = await (rules ? axe.withRules(rules) : axe).analyze();
  const found = violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.target.join(' ')}. ${node.failureSummary}`),
  );
  expect(found).toEqual([]);
  expect(passes.length).toBeGreaterThan(0);
}
