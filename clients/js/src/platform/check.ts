import { TriceError } from '../errors.ts';
import type { SchemaShape } from '../schema/shape.ts';

/**
 * Refuses what the server could not see in single steps.
 *
 * system  names of the system's attrs, as `$users.email`
 * raises  TriceError `schema-malformed`
 */
export function check({ entities, links }: SchemaShape, system: ReadonlySet<string>): void {
  const systems = new Set([...system].map((name) => name.split('.')[0]!));
  const refuse = (message: string, hint: object) => {
    throw new TriceError({ code: 'schema-malformed', message, hint: { ...hint } });
  };
  for (const [etype, { attrs }] of Object.entries(entities)) {
    if (etype.startsWith('$') && !systems.has(etype))
      refuse(`Namespaces with $ are the system's: call \`${etype}\` something else.`, { etype });
    for (const [label, { required }] of Object.entries(attrs))
      if (systems.has(etype) && required && !system.has(`${etype}.${label}`))
        refuse(`\`${etype}.${label}\` must be optional: the system makes rows without it.`, {
          etype,
          label,
        });
  }
  for (const { forward, reverse } of Object.values(links)) {
    const name = `${forward.on}.${forward.label}`;
    for (const end of [forward, reverse]) {
      if (entities[end.on] === undefined && !systems.has(end.on))
        refuse(`The link \`${name}\` names \`${end.on}\`, which the schema does not have.`, {
          etype: end.on,
        });
      if (end.has === 'many' && end.onDelete === 'cascade')
        refuse(`The link \`${name}\` cascades at an end that has many; only one may.`, {
          etype: end.on,
        });
    }
  }
}
