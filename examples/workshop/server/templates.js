// What a new app starts with, and the rules that close it. No I/O.
import { i } from '@instantdb/platform';
import { FIELDS_MAX, KINDS_MAX, NAME_LENGTH_MAX } from './limits.js';
import { Refusal } from './refusal.js';

/**
 * The fields of each kind of thing in an app: `{todos: {text: 'string', done: 'boolean'}}`.
 *
 * @typedef {'string' | 'number' | 'boolean' | 'date'} Type
 * @typedef {Record<string, Record<string, Type>>} Shape
 * @typedef {{kind: string, field: string, type: Type}} Addition
 */

/** @type {Record<string, Shape>} */
export const TEMPLATES = {
  todo: { todos: { text: 'string', done: 'boolean' } },
  chat: { messages: { text: 'string', sentAt: 'date' } },
  empty: {},
};

const TYPES = {
  string: () => i.string(),
  number: () => i.number(),
  boolean: () => i.boolean(),
  date: () => i.date(),
};

const NAME = new RegExp(`^[a-z][a-zA-Z0-9]{0,${NAME_LENGTH_MAX - 1}}$`);

/**
 * Every field is optional: things that are there when a field is added have no value for it.
 *
 * @param {Shape} shape
 */
export function schemaOf(shape) {
  const entities = Object.entries(shape).map(([kind, fields]) => [
    kind,
    i.entity(
      Object.fromEntries(
        Object.entries(fields).map(([field, type]) => [field, TYPES[type]().optional()]),
      ),
    ),
  ]);
  return i.schema({ entities: Object.fromEntries(entities), links: {}, rooms: {} });
}

/**
 * One person sees and changes everything of the kinds that are there, and everybody else nothing:
 * they cannot sign up, enter rooms, or add kinds and fields. A kind that is not named is closed.
 *
 * @param {Shape} shape
 * @param {string} ownerId
 * @returns {any} a document with rules
 */
export function rulesOf(shape, ownerId) {
  const isOwner = `auth.id == '${ownerId}'`;
  const kinds = Object.keys(shape).map((kind) => [kind, { allow: { $default: isOwner } }]);
  return {
    ...Object.fromEntries(kinds),
    $users: { allow: { view: isOwner, create: 'false' } },
    $rooms: {},
    attrs: { allow: { create: 'false' } },
    $default: { allow: { $default: 'false' } },
  };
}

/**
 * A shape with one more field, and the kind it belongs to if that is new.
 *
 * @param {Shape} shape
 * @param {any} addition  what was asked for, unchecked: an `Addition`
 * @returns {Shape}
 */
export function grown(shape, { kind, field, type }) {
  for (const name of [kind, field]) {
    // What every object has in JavaScript (`constructor`) confuses clients, and `id` is taken.
    if (typeof name !== 'string' || !NAME.test(name) || name in {} || name === 'id') {
      const allowed = `up to ${NAME_LENGTH_MAX} letters and digits, a small letter first`;
      throw new Refusal(400, `A name is not “id”, and has ${allowed}.`);
    }
  }
  if (!Object.hasOwn(TYPES, type)) throw new Refusal(400, 'There is no such type.');
  const fields = shape[kind] ?? {};
  if (Object.hasOwn(fields, field)) throw new Refusal(409, `“${kind}” has “${field}” already.`);
  if (!Object.hasOwn(shape, kind) && Object.keys(shape).length >= KINDS_MAX)
    throw new Refusal(409, `An app has up to ${KINDS_MAX} kinds of things.`);
  if (Object.keys(fields).length >= FIELDS_MAX)
    throw new Refusal(409, `A kind of thing has up to ${FIELDS_MAX} fields.`);
  return { ...shape, [kind]: { ...fields, [field]: type } };
}
