/** Characters of a frame that are kept. */
export const TEXT_LENGTH_MAX = 4_096;

/** A text in JSON; its end may be cut off. */
const TEXT = String.raw`"(?:[^"\\]|\\.)*(?:"|\\?$)`;

/** Fields whose values let somebody in, and parts of addresses that do. */
const TOKENS = new RegExp(
  String.raw`("[\w$-]*(?:token|password|secret|credential|signature)"\s*:\s*)${TEXT}|` +
    String.raw`([?&](?:[\w-]*(?:token|sig|signature|credential))=)[^&"\\\s]*`,
  'gi',
);

/** Names of fields, which stay, and all values. */
const VALUES = new RegExp(
  String.raw`(${TEXT}\s*:)|(${TEXT})|-?\d[\d.eE+-]*|\b(?:true|false|null)\b`,
  'g',
);

/** The beginning of a text in JSON, without what lets somebody in. */
export function withoutTokens(json: string): string {
  return beginningOf(json).replace(TOKENS, (_, field?: string, parameter?: string) =>
    field === undefined ? `${parameter}…` : `${field}"…"`,
  );
}

/** A copy: a part of a text would keep all of it in memory. */
function beginningOf(text: string): string {
  if (text.length <= TEXT_LENGTH_MAX) return text;
  return text.slice(0, TEXT_LENGTH_MAX).split('').join('');
}

/** A text in JSON with its structure alone: a dot stands for each value. */
export function withoutValues(json: string): string {
  return json.replace(VALUES, (_, name?: string) => name ?? '"…"');
}
