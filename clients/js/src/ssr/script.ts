import type { Dehydrated } from '../client/dehydrated.ts';

/** What would end the script, or is a line end to some readers of scripts, and quotes. */
const ESCAPED = /[\\'<>&\u2028\u2029]/g;

/** The name of the global in which the parts of a page wait for the browser's client. */
export function queueName(appId: string): string {
  return `tricedb:${appId}`;
}

/** Code that puts a part of a page into the queue; as a text, so that any key stays a key. */
export function scriptOf(page: Dehydrated): string {
  const name = quoted(queueName(page.appId));
  return `(self[${name}]=self[${name}]||[]).push(${quoted(JSON.stringify(page))})`;
}

/** Code as a script element; nothing where there is no code. */
export function tagOf(code: string, nonce: string | undefined): string {
  if (code === '') return '';
  const attribute = nonce === undefined ? '' : ` nonce="${nonce.replace(/[^\w+/=-]/g, '')}"`;
  return `<script${attribute}>${code}</script>`;
}

function quoted(text: string): string {
  return `'${text.replace(ESCAPED, escaped)}'`;
}

function escaped(character: string): string {
  if (character === '\\' || character === "'") return `\\${character}`;
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
