/**
 * What a program on a server does with an app, in any place that runs it: no import, no Node.
 *
 * admin    all that `tricedb/admin` exports
 * config   what `init` takes
 * returns  what was found, as JSON; the same everywhere
 */
export async function tour({ init, id, TriceError }, config) {
  const db = init(config);
  return {
    live: await live(db, id),
    refused: await db
      .query({ todos: { $: { where: { 'a.b': { $no: 1 } } } } })
      .catch((error) => [error instanceof TriceError, error.code]),
    user: await user(db),
    stream: await stream(db),
    files: await files(db),
    room: await room(db),
  };
}

/** Each picture of a live query, from an empty one on. */
async function live(db, id) {
  const pictures = [];
  const todos = db.subscribeQuery({ todos: {} });
  for await (const payload of todos) {
    if (payload.type !== 'ok') throw payload.error;
    pictures.push(payload.data.todos.map(({ title }) => title));
    if (pictures.length === 1) await db.transact(db.tx.todos[id()].create({ title: 'Käse 🧀' }));
    else break;
  }
  const { todos: asked } = await db.query({ todos: {} });
  return { pictures, asked: asked.map(({ title }) => title), isClosed: todos.isClosed };
}

async function user(db) {
  const token = await db.auth.createToken({ email: 'ada@example.com' });
  const { email } = await db.auth.verifyToken(token);
  const { $users } = await db.asUser({ token }).query({ $users: {} });
  return [email, $users.map((one) => one.email)];
}

/** A text is read while it is written, cut inside of a character. */
async function stream(db) {
  const waited = [];
  const writer = db.streams
    .createWriteStream({ clientId: 'tour/é', waitUntil: (promise) => waited.push(promise) })
    .getWriter();
  await writer.write('one é');
  // The request that makes it is under way: who reads before finds no stream.
  for await (const { data } of db.subscribeQuery({ $streams: {} }))
    if (data?.$streams.length === 1) break;
  const reader = db.streams.createReadStream({ clientId: 'tour/é' }).getReader();
  const texts = [(await reader.read()).value];
  await writer.write(' two');
  await writer.close();
  for (let part = await reader.read(); !part.done; part = await reader.read())
    texts.push(part.value);
  await Promise.all(waited);
  return { first: texts[0], whole: texts.join('') };
}

/** Files of every kind that the place has, and what comes back of them. */
async function files(db) {
  const bytes = new TextEncoder().encode('bytes é');
  const kinds = {
    text: 'text é',
    bytes,
    blob: new Blob([bytes]),
    chunks: (async function* () {
      yield bytes.slice(0, 7);
      yield bytes.slice(7);
    })(),
  };
  const came = {};
  for (const [name, file] of Object.entries(kinds)) {
    await db.storage.uploadFile(`tour/${name} é.txt`, file, { contentType: 'text/plain' });
    const url = await db.storage.getDownloadUrl(`tour/${name} é.txt`);
    came[name] = await (await fetch(url)).text();
  }
  await db.storage.delete('tour/text é.txt');
  const { $files } = await db.query({ $files: {} });
  const paths = $files.map(({ path }) => path).filter((path) => path.startsWith('tour/'));
  return { came, paths: paths.sort() };
}

async function room(db) {
  await db.rooms.setPresence('tour', 'r1', { peerId: 'guide', data: { name: 'Ada' } });
  const peers = await db.rooms.getPresence('tour', 'r1');
  await db.rooms.removePresence('tour', 'r1', 'guide');
  const left = await db.rooms.getPresence('tour', 'r1');
  return [Object.values(peers).map(({ data }) => data), Object.keys(left)];
}
