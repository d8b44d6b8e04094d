/** A value as a disk keeps it: its sum, and its JSON text. */
export function sealed(value: unknown): string {
  const text = JSON.stringify(value);
  return `${sumOf(text)}:${text}`;
}

/** What `sealed` was given; undefined if the text is not what was written. */
export function unsealed(text: string): unknown {
  const end = text.indexOf(':');
  const json = text.slice(end + 1);
  if (end < 0 || text.slice(0, end) !== sumOf(json)) return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** The sum that stands before a value. */
export function sealOf(text: string): string {
  return text.slice(0, text.indexOf(':'));
}

/** A sum of 32 bits over the code units of a text (FNV-1a). */
export function sumOf(text: string): string {
  let sum = 0x811c9dc5;
  for (let place = 0; place < text.length; place++)
    sum = Math.imul(sum ^ text.charCodeAt(place), 0x01000193);
  return (sum >>> 0).toString(36);
}
