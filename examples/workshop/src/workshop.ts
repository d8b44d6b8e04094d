import { i, init } from '@instantdb/react';

export type Type = 'string' | 'number' | 'boolean' | 'date';
export type Fields = Readonly<Record<string, Type>>;
/** The fields of each kind of thing in an app. */
export type Shape = Readonly<Record<string, Fields>>;

export interface Addition {
  readonly kind: string;
  readonly field: string;
  readonly type: Type;
}

/** An app that the workshop made for the person. */
export interface Project {
  readonly id: string;
  readonly appId: string;
  readonly title: string;
  readonly template: string;
  readonly shape: Shape;
}

const registrySchema = i.schema({
  entities: {
    projects: i.entity({
      appId: i.string().unique().indexed(),
      title: i.string(),
      template: i.string(),
      shape: i.json<Shape>(),
    }),
  },
});

export type Workshop = Awaited<ReturnType<typeof openWorkshop>>;
export type ProjectDb = ReturnType<Workshop['dbOf']>;

/**
 * The two connections of this page: to the workshop's own app, where a person's projects are and
 * who they are is known, and to the workshop's server, which makes and changes apps.
 */
export async function openWorkshop() {
  const about = await (await fetch('api/about')).json();
  const url: string = about.url;
  const templates: readonly string[] = about.templates;
  const addresses = {
    apiURI: url,
    websocketURI: `${url.replace(/^http/, 'ws')}/runtime/session`,
    devtool: false,
  } as const;
  const db = init({ ...addresses, appId: about.appId, schema: registrySchema });

  /** Ask the workshop's server, as the person who is signed in. */
  async function ask(method: 'POST' | 'DELETE', path: string, body?: object): Promise<any> {
    const user = await db.getAuth();
    const response = await fetch(`api/projects${path}`, {
      method,
      headers: {
        authorization: `Bearer ${user?.refresh_token ?? ''}`,
        'content-type': 'application/json',
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Refused(answer.message);
    return answer;
  }

  const connect = (project: Project) => init({ ...addresses, appId: project.appId });
  const connections = new Map<string, ReturnType<typeof connect>>();

  return {
    db,
    templates,
    /** The connection to a person's app: one, for as long as the page is open. */
    dbOf(project: Project) {
      const opened = connections.get(project.appId) ?? connect(project);
      connections.set(project.appId, opened);
      return opened;
    },
    /** Sign in to a person's app, with a token from the workshop unless that happened before. */
    async signIn(project: Project) {
      const projectDb = this.dbOf(project);
      if ((await projectDb.getAuth()) !== null) return;
      const { token } = await ask('POST', `/${project.id}/token`);
      await projectDb.auth.signInWithToken(token);
    },
    create: (title: string, template: string): Promise<{ id: string }> =>
      ask('POST', '', { title, template }),
    plan: (project: Project, addition: Addition): Promise<{ steps: string[] }> =>
      ask('POST', `/${project.id}/plan`, addition),
    push: (project: Project, addition: Addition): Promise<{ shape: Shape }> =>
      ask('POST', `/${project.id}/push`, addition),
    remove: (project: Project): Promise<object> => ask('DELETE', `/${project.id}`),
  };
}

/** The workshop's server said no; its sentence is for the person. */
export class Refused extends Error {}
