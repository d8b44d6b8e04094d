import type { Page, WebSocketRoute } from '@playwright/test';

/**
 * Stands between a page and the server. Static files always pass, so that a page can be loaded
 * while its server is out of reach.
 *
 *   open   everything passes
 *   held   the server's WebSocket messages wait here until the gate opens
 *   shut   no new connection, WebSocket or HTTP, gets through, and open sockets are closed
 */
export class Gate {
  /** Sockets that reached the server. */
  passed = 0;
  private state: 'open' | 'held' | 'shut' = 'open';
  private held: (() => void)[] = [];
  private sockets = new Set<WebSocketRoute>();
  private isHttpShut = false;

  /** Must come before the page loads. */
  static async install(page: Page): Promise<Gate> {
    const gate = new Gate();
    await page.routeWebSocket(/\/runtime\/session/, (socket) => gate.connect(socket));
    await page.route(/\/runtime\//, (route) =>
      gate.isHttpShut ? route.abort('connectionrefused') : route.continue(),
    );
    return gate;
  }

  hold(): void {
    this.state = 'held';
  }

  /** `http: false` leaves event streams and requests alone and shuts out WebSockets only. */
  async shut({ http = true }: { http?: boolean } = {}): Promise<void> {
    this.state = 'shut';
    this.isHttpShut = http;
    for (const socket of this.sockets) await socket.close();
    this.sockets.clear();
  }

  open(): void {
    this.state = 'open';
    this.isHttpShut = false;
    for (const deliver of this.held) deliver();
    this.held = [];
  }

  private connect(socket: WebSocketRoute): void {
    if (this.state === 'shut') {
      void socket.close();
      return;
    }
    this.passed += 1;
    this.sockets.add(socket);
    const server = socket.connectToServer();
    server.onMessage((message) => {
      if (this.state === 'held') this.held.push(() => socket.send(message));
      else socket.send(message);
    });
  }
}
