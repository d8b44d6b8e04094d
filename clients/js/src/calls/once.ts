/** Queries and actions that are called once: they never wait for a connection to come back. */
import type { Environment } from '../client/environment.ts';
import { failure, TriceError } from '../errors.ts';
import type { Message, PartSession } from '../session/part.ts';
import type { FunctionRef } from './refs.ts';

/** How long a call waits for a session, and a query for its answer. */
const ONCE_MS = 30_000;

interface Asked {
  readonly fields: Message;
  readonly isAction: boolean;
  /** Null: it is not sent. */
  eventId: string | null;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: TriceError) => void;
  cancel(): void;
}

/** The calls of queries and actions that are under way. */
export class Once {
  readonly #environment: Environment;
  readonly #session: PartSession;
  readonly #asked = new Set<Asked>();

  constructor(environment: Environment, session: PartSession) {
    this.#environment = environment;
    this.#session = session;
  }

  get isIdle(): boolean {
    return this.#asked.size === 0;
  }

  /** What a function returns, called now. */
  call({ name, kind }: FunctionRef, args: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const asked: Asked = {
        fields: { name, args },
        isAction: kind === 'action',
        eventId: null,
        resolve,
        reject,
        cancel: this.#environment.timer(ONCE_MS, () => {
          // How long an action may take is the server's to say.
          if (asked.isAction && asked.eventId !== null) return;
          this.#fail(asked, failure('timeout', { seconds: ONCE_MS / 1000 }));
        }),
      };
      this.#asked.add(asked);
      this.#send(asked);
    });
  }

  answered(message: Message): void {
    const asked = this.#end(message);
    asked?.resolve(message.value);
  }

  failed(message: Message): void {
    const asked = this.#end(message);
    asked?.reject(TriceError.of(message));
  }

  live(): void {
    for (const asked of this.#asked) this.#send(asked);
  }

  /** A query is asked again; an action may have run, or would run who knows when. */
  lost(): void {
    for (const asked of [...this.#asked]) {
      if (asked.isAction) this.#fail(asked, failure(asked.eventId ? 'call-lost' : 'offline'));
      asked.eventId = null;
    }
  }

  /** Somebody else is signed in. */
  forget(): void {
    for (const asked of [...this.#asked]) this.#fail(asked, failure('signed-out/call'));
  }

  #send(asked: Asked): void {
    asked.eventId ??= this.#session.send('call', asked.fields);
  }

  #end({ 'client-event-id': eventId }: Message): Asked | undefined {
    const asked = [...this.#asked].find((one) => one.eventId === eventId);
    asked?.cancel();
    if (asked) this.#asked.delete(asked);
    return asked;
  }

  #fail(asked: Asked, error: TriceError): void {
    asked.cancel();
    this.#asked.delete(asked);
    asked.reject(error);
  }
}
