// The workshop: makes an app for a person, changes its schema, and hands out the key to it.
import { id, init } from '@instantdb/admin';
import { i, PlatformApi } from '@instantdb/platform';
import { PROJECTS_MAX, PROJECTS_OF_PERSON_MAX, TITLE_LENGTH_MAX } from './limits.js';
import { Refusal } from './refusal.js';
import { grown, rulesOf, schemaOf, TEMPLATES } from './templates.js';
import { Turns } from './turns.js';

/** @typedef {import('./templates.js').Shape} Shape */

/** What the workshop calls the app with its own data: who has which app. */
const REGISTRY_TITLE = 'workshop: projects';
const REGISTRY_SCHEMA = i.schema({
  entities: {
    $users: i.entity({ email: i.string().unique().indexed().optional() }),
    projects: i.entity({
      appId: i.string().unique().indexed(),
      title: i.string(),
      template: i.string(),
      shape: i.json(),
    }),
  },
  links: {
    projectOwner: {
      forward: { on: 'projects', label: 'owner', has: 'one' },
      reverse: { on: '$users', label: 'projects', has: 'many' },
    },
  },
  rooms: {},
});
// People read here what they have; only the workshop writes.
const REGISTRY_RULES = {
  projects: { allow: { view: 'auth.id != null && auth.id == data.owner' } },
  $users: { allow: { view: 'auth.id == data.id' } },
  $rooms: {},
  attrs: { allow: { create: 'false' } },
  $default: { allow: { $default: 'false' } },
};

/**
 * Holds no state that outlasts a request: apps and their owners are in the registry, an app on the
 * same trice server.
 */
export class Workshop {
  #turns = new Turns();

  /**
   * @param {{url: string, token: string}} trice
   * @param {PlatformApi} platform
   * @param {string} registryId
   */
  constructor(trice, platform, registryId) {
    this.trice = trice;
    this.platform = platform;
    this.registryId = registryId;
    this.registry = this.#adminOf(registryId);
  }

  /**
   * Open the workshop on a trice server; its registry is made when it is not there yet.
   *
   * @param {{url: string, token: string}} trice  its address, and a token that may make apps
   */
  static async open(trice) {
    const platform = new PlatformApi({ auth: { token: trice.token }, apiURI: trice.url });
    const { apps } = await platform.getApps();
    const found = apps.find((app) => app.title === REGISTRY_TITLE);
    const start = { title: REGISTRY_TITLE, schema: REGISTRY_SCHEMA };
    const { id: registryId } = found ?? (await platform.createApp(start)).app;
    await platform.schemaPush(registryId, { schema: REGISTRY_SCHEMA });
    await platform.pushPerms(registryId, { perms: /** @type {any} */ (REGISTRY_RULES) });
    return new Workshop(trice, platform, registryId);
  }

  /**
   * Who asks: the user of the registry whose token this is.
   *
   * @param {string | undefined} token
   * @returns {Promise<string>} the person's id
   */
  async person(token) {
    if (!token) throw new Refusal(401, 'Please start first.');
    const user = await this.registry.auth.verifyToken(token).catch((error) => {
      // A server that is out of reach says nothing about the token.
      if (error?.status >= 400 && error.status < 500) return null;
      throw error;
    });
    if (!user) throw new Refusal(401, 'Your session has ended. Please reload the page.');
    return user.id;
  }

  /**
   * @param {string} personId
   * @param {{title?: unknown, template?: unknown}} wish
   */
  create(personId, { title, template }) {
    if (typeof title !== 'string' || !title.trim() || title.length > TITLE_LENGTH_MAX)
      throw new Refusal(400, `A title has 1 to ${TITLE_LENGTH_MAX} characters.`);
    if (typeof template !== 'string' || !Object.hasOwn(TEMPLATES, template))
      throw new Refusal(400, 'There is no such template.');
    const shape = TEMPLATES[template] ?? {};
    // One after the other, so that the bounds hold; of one person only one waits among all.
    const create = async () => {
      const { projects } = await this.registry.query({ projects: { owner: {} } });
      const own = projects.filter(({ owner }) => owner?.id === personId);
      if (own.length >= PROJECTS_OF_PERSON_MAX)
        throw new Refusal(409, `You can have up to ${PROJECTS_OF_PERSON_MAX} apps.`);
      if (projects.length >= PROJECTS_MAX) throw new Refusal(409, 'The workshop is full.');
      const { app } = await this.platform.createApp({
        title: `workshop of ${personId}: ${title.trim()}`,
        schema: schemaOf(shape),
        perms: rulesOf(shape, personId),
      });
      const projectId = id();
      const row = { appId: app.id, title: title.trim(), template, shape };
      try {
        await this.registry.transact(this.#row(projectId).create(row).link({ owner: personId }));
      } catch (error) {
        await this.platform.deleteApp(app.id);
        throw error;
      }
      return { id: projectId };
    };
    return this.#turns.take(personId, () => this.#turns.take('create', create));
  }

  /**
   * A token of the one user of the person's app.
   *
   * @param {string} personId
   * @param {string} projectId
   */
  async token(personId, projectId) {
    const project = await this.#project(personId, projectId);
    return { token: await this.#adminOf(project.appId).auth.createToken({ id: personId }) };
  }

  /**
   * What adding a field would do, in words.
   *
   * @param {string} personId
   * @param {string} projectId
   * @param {unknown} addition
   */
  async plan(personId, projectId, addition) {
    const project = await this.#project(personId, projectId);
    const schema = schemaOf(grown(project.shape, addition));
    const { steps } = await this.platform.planSchemaPush(project.appId, { schema });
    return { steps: steps.map((step) => step.friendlyDescription) };
  }

  /**
   * Add a field, also while the app is used. A new kind of thing is closed until its rules are
   * there, and the page learns of it last.
   *
   * @param {string} personId
   * @param {string} projectId
   * @param {unknown} addition
   */
  push(personId, projectId, addition) {
    return this.#turns.take(projectId, async () => {
      const { appId, shape: old } = await this.#project(personId, projectId);
      const shape = grown(old, addition);
      await this.platform.schemaPush(appId, { schema: schemaOf(shape) });
      await this.platform.pushPerms(appId, { perms: rulesOf(shape, personId) });
      await this.registry.transact(this.#row(projectId).update({ shape }));
      return { shape };
    });
  }

  /**
   * @param {string} personId
   * @param {string} projectId
   */
  remove(personId, projectId) {
    return this.#turns.take(projectId, async () => {
      const { appId } = await this.#project(personId, projectId);
      await this.platform.deleteApp(appId);
      await this.registry.transact(this.#row(projectId).delete());
      return {};
    });
  }

  /**
   * The one place that says whose an app is: nothing is done to an app that did not pass here. What
   * belongs to somebody else is not there.
   *
   * @param {string} personId
   * @param {string} projectId
   * @returns {Promise<{appId: string, shape: Shape}>}
   */
  async #project(personId, projectId) {
    const where = { id: projectId, 'owner.id': personId };
    const { projects } = await this.registry.query({ projects: { $: { where } } });
    const [project] = projects;
    if (project === undefined) throw new Refusal(404, 'You have no such app.');
    return { appId: project.appId, shape: project.shape };
  }

  /** @param {string} projectId */
  #row(projectId) {
    const { projects } = this.registry.tx;
    return /** @type {NonNullable<typeof projects[string]>} */ (projects[projectId]);
  }

  /** @param {string} appId */
  #adminOf(appId) {
    const { url, token } = this.trice;
    return init({
      appId,
      adminToken: token,
      apiURI: url,
      schema: REGISTRY_SCHEMA,
      disableValidation: true,
    });
  }
}
