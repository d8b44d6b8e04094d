const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const CODES = Uint8Array.from(DIGITS, (digit) => digit.charCodeAt(0));
const PAD = '='.charCodeAt(0);

/** Character codes that are put together at a time: more arguments are too many for engines. */
const CODES_MAX = 8_192;

/** Bytes in base64. */
export function base64Of(bytes: ArrayLike<number>): string {
  const codes = new Uint8Array(4 * Math.ceil(bytes.length / 3));
  let to = 0;
  for (let at = 0; at < bytes.length; at += 3) {
    const rest = bytes.length - at;
    const bits = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    codes[to++] = CODES[bits >> 18]!;
    codes[to++] = CODES[(bits >> 12) & 63]!;
    codes[to++] = rest > 1 ? CODES[(bits >> 6) & 63]! : PAD;
    codes[to++] = rest > 2 ? CODES[bits & 63]! : PAD;
  }
  let text = '';
  for (let at = 0; at < codes.length; at += CODES_MAX) {
    const some = codes.subarray(at, at + CODES_MAX) as unknown as number[];
    // Ten times as fast as to spread them.
    text += String.fromCharCode.apply(null, some);
  }
  return text;
}

/** The bytes of a text that `base64Of` made. */
export function bytesOfBase64(text: string): Uint8Array {
  const pads = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - pads);
  let to = 0;
  for (let at = 0; at < text.length; at += 4) {
    const bits =
      (valueAt(text, at) << 18) |
      (valueAt(text, at + 1) << 12) |
      (valueAt(text, at + 2) << 6) |
      valueAt(text, at + 3);
    // What lies behind the end is not written.
    bytes[to++] = bits >> 16;
    bytes[to++] = (bits >> 8) & 255;
    bytes[to++] = bits & 255;
  }
  return bytes;
}

const VALUES = new Uint8Array(128);
CODES.forEach((code, value) => (VALUES[code] = value));

function valueAt(text: string, at: number): number {
  return VALUES[text.charCodeAt(at)] ?? 0;
}
