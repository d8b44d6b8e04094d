import type { StreamMaker } from '../client/environment.ts';

/** What this file takes of the platform: browsers and Node have it, React Native may not. */
interface StreamGlobals {
  readonly ReadableStream?: new (source: object, strategy: object) => object;
  readonly WritableStream?: new (sink: object) => object;
}

interface Controller {
  enqueue(text: string): void;
  close(): void;
  error(error: unknown): void;
}

/** Streams of the platform; undefined where it has none. */
export function streamMaker(globals: object): StreamMaker | undefined {
  const { ReadableStream, WritableStream } = globals as StreamGlobals;
  if (!ReadableStream || !WritableStream) return undefined;
  return {
    readable: (source) =>
      new ReadableStream(
        {
          pull: async (controller: Controller) => {
            const text = await source.next();
            if (text === null) controller.close();
            else controller.enqueue(text);
          },
          cancel: () => source.cancel(),
        },
        // Nothing is taken before somebody reads.
        { highWaterMark: 0 },
      ),
    writable: (sink) =>
      new WritableStream({
        start: (controller: Controller) => {
          sink.failed.catch((error: unknown) => controller.error(error));
        },
        write: (text: unknown) => sink.write(String(text)),
        close: () => sink.close(),
        abort: (reason: unknown) => sink.abort(reason),
      }),
  };
}
