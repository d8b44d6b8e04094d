import { base64Of } from './base64.ts';
import { isPair } from './utf8-bytes.ts';

/** The bytes of a text in UTF-8; a lone surrogate is U+FFFD, as everywhere on the web. */
export function utf8(text: string): number[] {
  const bytes: number[] = [];
  for (const character of text) {
    let code = character.codePointAt(0)!;
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), tail(code));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), tail(code >> 6), tail(code));
    else bytes.push(0xf0 | (code >> 18), tail(code >> 12), tail(code >> 6), tail(code));
  }
  return bytes;
}

function tail(bits: number): number {
  return 0x80 | (bits & 0x3f);
}

/** A text's UTF-8 in base64: `btoa` takes no other characters than those of Latin-1. */
export function base64(text: string): string {
  return base64Of(utf8(text));
}

/** A text without its first bytes in UTF-8; a character that they cut goes too. */
export function withoutBytes(text: string, bytes: number): string {
  let at = 0;
  for (let left = bytes; left > 0 && at < text.length;) {
    const code = text.charCodeAt(at);
    const isLong = isPair(text, at);
    left -= code < 0x80 ? 1 : code < 0x800 ? 2 : isLong ? 4 : 3;
    at += isLong ? 2 : 1;
  }
  return text.slice(at);
}
