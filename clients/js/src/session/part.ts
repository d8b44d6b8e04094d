/** A message of the protocol. */
export type Message = Readonly<Record<string, unknown>>;

/** A part of the client that speaks ops of its own on the session: rooms, streams. */
export interface Part {
  /** By op: takes what comes, and errors (`op: 'error'`) about what was sent under that op. */
  readonly handlers: Readonly<Record<string, (message: Message) => void>>;
  /** The session is open: say what is wanted. Called at once if it is open already. */
  live(): void;
  /** Whether it can do without a session for now; else a hidden page keeps its connection. */
  readonly isIdle?: boolean;
  /** The session is gone. Also called for attempts that failed. */
  lost(): void;
}

/** What a part needs of the session. */
export interface PartSession {
  readonly isLive: boolean;
  /** The session's id on the server; a new one with each connection. */
  readonly id: string | null;
  /** Sends a message with an event id of its own, which is returned; null: there is no session. */
  send(op: string, fields: Message): string | null;
}
