/**
 * UUIDs of version 7: milliseconds first, then a counter, so that ids sort in the order in which
 * they were made, also those of one millisecond.
 *
 * fill  writes random bytes into an array
 */
export function idMaker(now: () => number, fill: (bytes: Uint8Array) => void): () => string {
  let last = 0;
  let counter = 0;
  return () => {
    const bytes = new Uint8Array(16);
    fill(bytes);
    const time = Math.max(now(), last);
    // The counter starts at random below its half, so that there is room to count.
    counter = time === last ? counter + 1 : ((bytes[6]! & 0x07) << 8) | bytes[7]!;
    last = counter > 0xfff ? time + 1 : time;
    if (counter > 0xfff) counter = 0;
    return textOf(bytes, last, counter);
  };
}

function textOf(bytes: Uint8Array, time: number, counter: number): string {
  const timeHex = time.toString(16).padStart(12, '0');
  bytes[6] = 0x70 | (counter >> 8);
  bytes[7] = counter & 0xff;
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const rest = Array.from(bytes.subarray(6), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return (timeHex + rest).replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
