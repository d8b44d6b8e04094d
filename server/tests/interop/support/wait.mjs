// Waiting for something that other processes bring about, with a bound and a reason.

const POLL_MS = 10;

/** How long a test waits for what must come; never reached unless it fails (patience.py). */
const WAIT_MS = 60_000 * Number(process.env.TRICE_TEST_PATIENCE ?? 1);

/** Resolve with the first truthy answer of `probe`; reject with `what` when it takes too long. */
export async function until(probe, what) {
  const end = performance.now() + WAIT_MS;
  for (;;) {
    const answer = await probe();
    if (answer) return answer;
    if (performance.now() > end) {
      throw new Error(
        `waited ${WAIT_MS} ms in vain for ${typeof what === 'function' ? what() : what}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Resolve or reject as `promise` does, or reject when it takes too long. */
export function within(promise, what) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer in ${WAIT_MS} ms`)), WAIT_MS);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

/** The error a promise rejects with; an Error saying so if it resolves. */
export async function rejection(promise, what = 'the promise') {
  let value;
  try {
    value = await within(promise, what);
  } catch (error) {
    return error;
  }
  throw new Error(`${what} resolved with ${JSON.stringify(value)}, an error was due`);
}

/** Let whatever is already on its way arrive: used only to show that nothing more comes. */
export function settle(ms = 150) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Let the clock move on: entities created in one millisecond have no order but their ids'. */
export async function nextMillisecond() {
  const now = Date.now();
  await until(() => Date.now() > now, 'the next millisecond');
}
