import type { Environment } from '../client/environment.ts';

/** A WebSocket that has brought no answer by then does not work. */
const ANSWER_MS_MAX = 10_000;

/**
 * Finds out whether WebSockets work here: opens one, and asks on it. An open one proves nothing,
 * as proxies accept what they do not carry.
 *
 * question  a message that every server answers, before `init` too
 * then      called once, unless the function returned is called before
 */
export function probeWebSocket(
  environment: Environment,
  url: string,
  question: unknown,
  then: (works: boolean) => void,
): () => void {
  let isEnded = false;
  const end = () => {
    if (isEnded) return false;
    isEnded = true;
    cancel();
    socket.close();
    return true;
  };
  const tell = (works: boolean) => {
    if (end()) then(works);
  };
  const socket = environment.socket(url, {
    opened: () => {
      if (!isEnded) socket.send(JSON.stringify(question));
    },
    message: () => tell(true),
    closed: () => tell(false),
  });
  const cancel = environment.timer(ANSWER_MS_MAX, () => tell(false));
  return () => void end();
}
