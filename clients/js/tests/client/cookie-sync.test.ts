/** The app's own server is told who is signed in. */
import { expect, test } from 'vitest';
import { Stored } from '../simulation/device.ts';
import { DAY_MS } from '../support/disk-stage.ts';
import { ADA, PageStage } from '../support/page-stage.ts';

const PATH = '/api/trice';

/** A stage whose own server takes what it is told, or does not. */
class SyncStage extends PageStage {
  isDown = false;

  constructor() {
    super();
    this.answer = () => ({ status: this.isDown ? 503 : 200, body: {} });
  }

  open(stored = new Stored()) {
    return this.browserDb(stored, { firstPartyPath: PATH });
  }

  /** Whom the server was told of, in order. */
  get told(): (string | null)[] {
    return this.requests
      .filter(({ path }) => path === PATH)
      .map(({ body }) => (body.user as { email: string } | null)?.email ?? null);
  }
}

test('[J188] it is told at the start, and after a day, or when it missed a change', async () => {
  const stage = new SyncStage();
  const stored = stage.signedIn(ADA);
  const restart = async () => {
    const db = stage.open(stored);
    await stage.settle();
    db.shutdown();
    await stage.settle();
  };
  await restart();
  expect(stage.told).toEqual(['ada@example.com']);
  expect(stage.requests[0]!.body).toEqual({ type: 'sync-user', appId: 'app', user: ADA });
  await restart();
  expect(stage.told).toHaveLength(1);
  await stage.clock.pass(DAY_MS);
  await restart();
  expect(stage.told).toHaveLength(2);
  // Another tab signed out, and the page died before the server was told.
  stored.texts.delete('tricedb:http://test/app:user');
  await restart();
  expect(stage.told).toEqual(['ada@example.com', 'ada@example.com', null]);
});

test('[J188] signing in and out waits for the cookie', async () => {
  const stage = new SyncStage();
  const db = stage.open(stage.signedIn(ADA));
  await stage.settle();
  const out = db.auth.signOut({ invalidateToken: false });
  await stage.settle();
  await out;
  expect(stage.told).toEqual(['ada@example.com', null]);
});

test('[J188] a server that is down holds nobody up, and is told later', async () => {
  const stage = new SyncStage();
  const db = stage.open(stage.signedIn(ADA));
  await stage.settle();
  stage.isDown = true;
  const out = db.auth.signOut({ invalidateToken: false });
  await stage.settle();
  await out;
  await stage.clock.pass(60_000);
  expect(stage.told.length).toBeGreaterThan(3);
  expect(stage.told.length).toBeLessThan(9);
  stage.isDown = false;
  await stage.clock.pass(300_000);
  const { length } = stage.told;
  expect(stage.told.at(-1)).toBeNull();
  await stage.clock.pass(600_000);
  expect(stage.told).toHaveLength(length);
});

test('[J188] the last change wins, one request at a time', async () => {
  const stage = new SyncStage();
  let free: () => void = () => {};
  let underWay = 0;
  let most = 0;
  stage.hold = async () => {
    most = Math.max(most, ++underWay);
    await new Promise<void>((resolve) => (free = resolve));
    underWay -= 1;
  };
  const db = stage.open(stage.signedIn(ADA));
  await stage.settle();
  const out = db.auth.signOut({ invalidateToken: false });
  await stage.clock.pass(100);
  free();
  await stage.clock.pass(100);
  free();
  await stage.settle();
  await out;
  expect([most, stage.told]).toEqual([1, ['ada@example.com', null]]);
});

test.each(['https://evil.example/x', '//evil.example', '/\\evil.example', 'api/trice', ''])(
  '[J188] the token goes to the own server only, not to %s',
  (firstPartyPath) => {
    const stage = new SyncStage();
    expect(() => stage.browserDb(new Stored(), { firstPartyPath })).toThrow(/firstPartyPath/);
  },
);
