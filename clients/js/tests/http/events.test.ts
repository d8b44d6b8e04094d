import { expect, test } from 'vitest';
import { EventReader } from '../../src/http/events.ts';

const STREAM = [
  '\uFEFFretry: 500\n\n',
  'data: {"a":1}\n\n',
  ': keep-alive\n\n',
  'event: x\r\nid: 7\r\ndata:one\r\ndata:  two\r\ndata\r\n\r\n',
  'data: three\r\r',
  'database: no\ndata: 📖\n\n',
  'data: never ended',
].join('');
const DATA = ['{"a":1}', 'one\n two\n', 'three', '📖'];

function read(pieces: readonly string[]): string[] {
  const events = new EventReader();
  return pieces.flatMap((piece) => events.push(piece));
}

test('[J121] events are the same wherever the stream is cut', () => {
  expect(read([STREAM])).toEqual(DATA);
  expect(read([...STREAM])).toEqual(DATA);
  for (let first = 0; first <= STREAM.length; first++)
    for (let second = first; second <= Math.min(first + 5, STREAM.length); second++) {
      const pieces = [STREAM.slice(0, first), STREAM.slice(first, second), STREAM.slice(second)];
      expect(read(pieces)).toEqual(DATA);
    }
});
