/** Reads an event stream (WHATWG HTML §9.2): texts in any pieces go in, events' data comes out. */
export class EventReader {
  #line = '';
  #data: string[] = [];
  /** The last piece ended with a carriage return: a line feed that follows belongs to it. */
  #isAfterReturn = false;
  #isFirst = true;

  /** The data of each event that this piece ends. */
  push(piece: string): string[] {
    let text = this.#isAfterReturn && piece.startsWith('\n') ? piece.slice(1) : piece;
    if (piece !== '') this.#isAfterReturn = piece.endsWith('\r');
    if (this.#isFirst && text !== '') {
      this.#isFirst = false;
      if (text.startsWith('\uFEFF')) text = text.slice(1);
    }
    const lines = text.split(/\r\n|\n|\r/);
    lines[0] = this.#line + lines[0]!;
    this.#line = lines.pop()!;
    return lines.map((line) => this.#take(line)).filter((data) => data !== null);
  }

  #take(line: string): string | null {
    if (line === '') {
      const data = this.#data.length > 0 ? this.#data.join('\n') : null;
      this.#data = [];
      return data;
    }
    // Comments keep the connection alive; the other fields say nothing that is needed here.
    if (line === 'data') this.#data.push('');
    if (line.startsWith('data:')) this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    return null;
  }
}
