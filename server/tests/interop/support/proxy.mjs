// A TCP proxy whose connections the test cuts, stalls, or refuses.
import net from 'node:net';

export async function startProxy(server) {
  const pairs = new Set();
  let isRefusing = false;
  let areAnswersHeld = false;
  let areWebSocketsRefused = false;
  let bytesMax = Infinity;
  const listener = net.createServer((near) => {
    if (isRefusing) {
      near.destroy();
      return;
    }
    const far = net.connect(server.port, '127.0.0.1');
    const pair = { near, far, held: [], passed: 0 };
    pairs.add(pair);
    near.on('data', (bytes) => {
      if (areWebSocketsRefused && bytes.includes('/runtime/session')) return end();
      far.write(bytes);
      pair.passed += bytes.length;
      if (pair.passed >= bytesMax) {
        far.end();
        near.destroy();
      }
    });
    far.on('data', (bytes) => {
      if (areAnswersHeld) pair.held.push(bytes);
      else near.write(bytes);
    });
    const end = () => {
      near.destroy();
      if (!far.writableEnded) far.destroy();
      pairs.delete(pair);
    };
    for (const socket of [near, far]) socket.on('close', end).on('error', end);
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const { near, far } of pairs) {
      near.destroy();
      far.destroy();
    }
  };
  const prefix = new URL(server.url).pathname.replace(/\/$/, ''); // of a mounted server
  return {
    url: `http://127.0.0.1:${listener.address().port}${prefix}`,
    cut,
    /** From now on cut each connection once so many bytes have passed, which arrive. */
    cutAfter(bytes) {
      bytesMax = bytes;
    },
    /** Refuse new connections too, until allow(). */
    block() {
      isRefusing = true;
      cut();
    },
    refuseWebSockets() {
      areWebSocketsRefused = true;
    },
    allow() {
      isRefusing = false;
      areWebSocketsRefused = false;
      areAnswersHeld = false;
    },
    /** Requests pass, answers do not: what a client sees when the network dies half-way. */
    holdAnswers() {
      areAnswersHeld = true;
    },
    releaseAnswers() {
      areAnswersHeld = false;
      for (const pair of pairs) for (const bytes of pair.held.splice(0)) pair.near.write(bytes);
    },
    close() {
      cut();
      listener.close();
    },
  };
}
