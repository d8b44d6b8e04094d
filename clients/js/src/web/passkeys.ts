import type { PasskeyDevice } from '../client/passkeys.ts';

/** What this file takes of a browser: Chrome 129, Firefox 119, Safari 18.4 and newer. */
export interface PasskeyGlobals {
  readonly PublicKeyCredential?: {
    parseCreationOptionsFromJSON?(options: object): object;
    parseRequestOptionsFromJSON?(options: object): object;
  };
  readonly navigator?: {
    readonly credentials: {
      create(options: object): Promise<{ toJSON(): object }>;
      get(options: object): Promise<{ toJSON(): object }>;
    };
  };
}

/** Passkeys of a browser, which has them on https and localhost. */
export function passkeysOf(globals: PasskeyGlobals): PasskeyDevice | undefined {
  const parser = globals.PublicKeyCredential;
  if (!parser?.parseCreationOptionsFromJSON) return undefined;
  const { credentials } = globals.navigator!;
  return {
    async create(options) {
      const publicKey = parser.parseCreationOptionsFromJSON!(options);
      return (await credentials.create({ publicKey })).toJSON();
    },
    async get(options, { isAutofill, signal }) {
      const publicKey = parser.parseRequestOptionsFromJSON!(options);
      const mediation = isAutofill ? 'conditional' : undefined;
      return (await credentials.get({ publicKey, mediation, signal })).toJSON();
    },
  };
}
