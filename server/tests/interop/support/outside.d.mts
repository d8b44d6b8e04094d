// Types of outside.mjs for the browser tests, which are TypeScript.

interface App {
  readonly id: string;
  readonly adminToken: string;
}

interface At {
  readonly url: string;
}

export interface Outside {
  readonly env: Readonly<Record<string, string>>;
  readonly discovery: string;
  mails(to: string): Promise<{ subject: string; text: string }[]>;
  code(to: string, previous?: string): Promise<string>;
  person(claims: object): Promise<null>;
  idToken(claims?: object): Promise<string>;
  hits(at: string): Promise<number>;
  stop(): void;
}

export function startOutside(): Promise<Outside>;
export function addProvider(
  server: At,
  app: App,
  outside: Outside,
  options?: { name?: string; site?: string },
): Promise<any>;
