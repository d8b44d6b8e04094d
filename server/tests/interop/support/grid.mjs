// Queries over the seeded world: every operator, path, order and page, each with a name.

/** [name, query] pairs; `world` gives ids and values that exist. */
export function gridOf(world) {
  const person = world.ids('people')[7];
  const manager = world.linked(
    'people',
    world.ids('people').find((id) => world.linked('people', id, 'manager').length),
    'manager',
  )[0];
  const todo = world.ids('todos').find((id) => world.linked('todos', id, 'tags').length >= 2);
  const project = world.ids('projects')[3];
  const tag = world.ids('tags')[5];
  const absent = '00000000-0000-4000-8000-000000000000';
  const someTitle = world.row('todos', todo).title;
  const dated = world
    .ids('todos')
    .map((id) => world.row('todos', id))
    .find((row) => typeof row.due === 'string' && row.due.endsWith('Z'));
  const grid = [];
  const add = (name, query) => grid.push([name, query]);
  const todos = (where, more = {}) => ({ todos: { $: { where, ...more } } });
  const people = (where, more = {}) => ({ people: { $: { where, ...more } } });

  add('a whole namespace', { projects: {} });
  add('two namespaces in one query', { projects: {}, tags: { $: { where: { name: 'tag 3' } } } });

  // equality
  add('string equality, indexed', todos({ title: someTitle }));
  add(
    'string equality, unindexed',
    todos({
      note: world.row(
        'todos',
        world.ids('todos').find((id) => world.row('todos', id).note),
      ).note,
    }),
  );
  add('the empty string is a value', todos({ label: '' }));
  add('a quote in a value', todos({ label: "o'neil" }));
  add('a line break in a value', todos({ label: 'line\nbreak' }));
  add('an emoji in a value', todos({ label: '😀' }));
  add('number equality', todos({ priority: 3 }));
  add(
    'number equality, fraction',
    people({
      score: world.row(
        'people',
        world.ids('people').find((id) => world.row('people', id).score !== undefined),
      ).score,
    }),
  );
  add('boolean true', todos({ done: true }));
  add('boolean false', people({ active: false }));
  add('date equality', todos({ due: dated.due }));
  add('by id', todos({ id: todo }));
  add('by an id nobody has', todos({ id: absent }));
  add('unique attr', people({ email: 'person42@example.com' }));
  add('two attrs', todos({ done: true, priority: 4 }));

  // $in
  for (const operator of ['$in', 'in'])
    add(`${operator} on numbers`, todos({ priority: { [operator]: [1, 2, 77] } }));
  add('$in on strings', todos({ label: { $in: ['Apple', 'apple', 'nobody'] } }));
  add('$in with nothing', todos({ priority: { $in: [] } }));
  add('$in with null on an indexed attr', todos({ priority: { $in: [1, null] } }));
  add('$in on ids', people({ id: { $in: [person, manager, absent] } }));
  add('$in on a link', todos({ owner: { $in: [person, manager] } }));
  add('$in on booleans', todos({ done: { $in: [true] } }));

  // $not, $ne, $isNull
  for (const operator of ['$not', '$ne']) {
    add(
      `${operator} on an indexed number, missing included`,
      todos({ priority: { [operator]: 3 } }),
    );
    add(
      `${operator} on an unindexed string, missing included`,
      todos({ note: { [operator]: 'apple' } }),
    );
    add(`${operator} on a boolean`, todos({ done: { [operator]: true } }));
    add(`${operator} on a link`, todos({ owner: { [operator]: person } }));
  }
  add('$not on an id', tags({ id: { $not: tag } }));
  add('$not along a link', todos({ 'owner.active': { $not: true } }));
  add('$not along a many link', projects({ 'todos.done': { $not: true } }));
  add(
    '$not on a string with an order',
    tags({ name: { $not: 'tag 1' } }, { order: { name: 'asc' } }),
  );
  add('$isNull on an indexed attr', todos({ priority: { $isNull: true } }));
  add('$isNull false on an indexed attr', todos({ priority: { $isNull: false } }));
  add('$isNull on an unindexed attr', todos({ note: { $isNull: true } }));
  add('$isNull false on an unindexed attr', todos({ note: { $isNull: false } }));
  add('$isNull on a has-one link', todos({ owner: { $isNull: true } }));
  add('$isNull false on a has-one link', todos({ owner: { $isNull: false } }));
  add('$isNull on a many-many link', todos({ tags: { $isNull: true } }));
  add('$isNull on a reverse link', people({ reports: { $isNull: true } }));
  add('$isNull false on a reverse link', people({ reports: { $isNull: false } }));
  add('$isNull on a one-one link, reverse', people({ profile: { $isNull: true } }));
  add('$isNull on a reverse link of cardinality one', projects({ sponsor: { $isNull: true } }));
  add('$isNull along a link', todos({ 'owner.score': { $isNull: true } }));
  add('$isNull false along a link', todos({ 'owner.score': { $isNull: false } }));
  add('$isNull along two links', comments({ 'todo.owner.bio': { $isNull: true } }));

  // comparisons
  for (const operator of ['$gt', '$gte', '$lt', '$lte']) {
    add(`${operator} on numbers`, todos({ priority: { [operator]: 5 } }));
    add(`${operator} on negative numbers`, people({ score: { [operator]: -3.5 } }));
    add(`${operator} on strings`, todos({ title: { [operator]: 'eclair' } }));
    add(`${operator} on dates, ISO`, todos({ due: { [operator]: '2024-12-24T00:00:00Z' } }));
    add(`${operator} on dates, epoch ms`, todos({ due: { [operator]: Date.UTC(2025, 2, 1) } }));
    add(`${operator} on booleans`, todos({ done: { [operator]: false } }));
    add(`${operator} along a link`, todos({ 'owner.age': { [operator]: 50 } }));
  }
  add('a range through and', people({ and: [{ age: { $gte: 20 } }, { age: { $lt: 30 } }] }));

  // $like
  add('$like, prefix', todos({ title: { $like: 'apple%' } }));
  add('$like, suffix', todos({ title: { $like: '%zebra' } }));
  add('$like, middle', todos({ title: { $like: '%co%' } }));
  add('$like, one character', todos({ title: { $like: 'Ap_le' } }));
  add('$like keeps case', todos({ title: { $like: 'APPLE%' } }));
  add('$like, dots and brackets are literal', todos({ title: { $like: '%.%' } }));
  add('$like over a line break', todos({ title: { $like: 'line%break%' } }));
  add('$like, exact', todos({ label: { $like: 'zebra' } }));
  add('$ilike, prefix', todos({ title: { $ilike: 'APPLE%' } }));
  add('$ilike beyond ASCII', todos({ title: { $ilike: '%ÉCLAIR%' } }));
  add('$ilike, Cyrillic', todos({ title: { $ilike: '%ПРИВЕТ%' } }));
  add('$like along a link', todos({ 'owner.name': { $like: 'a%' } }));

  // links
  add('a has-one link by id', todos({ owner: person }));
  add('link.id', todos({ 'owner.id': person }));
  add('a reverse link by id', people({ todos: todo }));
  add('a many-many link by id', todos({ tags: tag }));
  add('a many-many link by id, reverse', tags({ todos: todo }));
  add('an attr of a linked entity', todos({ 'owner.active': true }));
  add('an attr through a many link', people({ 'todos.title': someTitle }));
  add('two attrs of one linked entity', people({ 'todos.done': true, 'todos.priority': 3 }));
  add('two links deep', comments({ 'todo.owner.active': true, rank: { $lt: 100 } }));
  add('three links deep', comments({ 'todo.owner.manager.id': manager }));
  add('a self link', people({ 'manager.active': true }));
  add('a self link, reverse', people({ 'reports.age': { $gt: 80 } }));
  add('a one-one link', profiles({ 'person.active': true }));
  add('a one-one link, reverse', people({ 'profile.handle': 'h12' }));

  // and, or
  add('or on one attr', todos({ or: [{ priority: 1 }, { priority: 2 }] }));
  add(
    'or on different attrs',
    todos({ or: [{ priority: 1 }, { done: true }, { label: 'zebra' }] }),
  );
  add('or along links', todos({ or: [{ 'owner.active': true }, { 'project.code': 'P-3' }] }));
  add('or with null', todos({ or: [{ priority: { $isNull: true } }, { priority: 9 }] }));
  add(
    'and of ors',
    todos({
      and: [{ or: [{ priority: 1 }, { priority: 2 }] }, { or: [{ done: true }, { label: 'i' }] }],
    }),
  );
  add(
    'or of ands',
    todos({
      or: [{ and: [{ priority: 1 }, { done: true }] }, { and: [{ priority: 8 }, { done: false }] }],
    }),
  );
  add(
    'and over one many link: different linked entities',
    people({ and: [{ 'todos.priority': 1 }, { 'todos.priority': 2 }] }),
  );
  add('or beside an attr', todos({ done: true, or: [{ priority: 0 }, { priority: { $gt: 8 } }] }));

  // nested
  add('has-one nested', { todos: { $: { where: { priority: 7 } }, owner: {} } });
  add('has-many nested', { people: { $: { where: { age: { $gt: 80 } } }, todos: {} } });
  add('many-many nested', { todos: { $: { where: { label: 'apple' } }, tags: {} } });
  add('many-many nested, reverse', {
    tags: { $: { where: { hue: { $isNull: false } } }, todos: {} },
  });
  add('one-one nested, both sides', {
    profiles: { person: {} },
    people: { $: { where: { age: 30 } }, profile: {} },
  });
  add('a self link nested twice', {
    people: { $: { where: { age: 41 } }, manager: { manager: {} }, reports: {} },
  });
  add('four levels', {
    projects: {
      $: { where: { code: { $in: ['P-1', 'P-2'] } } },
      todos: { owner: { profile: {} }, comments: { author: {} } },
    },
  });
  add('nested where', {
    projects: { $: { where: { id: project } }, todos: { $: { where: { done: true } } } },
  });
  add('nested where along a link', {
    projects: { $: { where: { id: project } }, todos: { $: { where: { 'owner.active': true } } } },
  });
  add('nested where does not remove parents', {
    projects: { todos: { $: { where: { priority: 77 } } } },
  });
  add('nested where on has-one', {
    todos: { $: { where: { label: 'Zz' } }, owner: { $: { where: { active: true } } } },
  });
  add('nested order', {
    projects: { $: { where: { code: 'P-9' } }, todos: { $: { order: { title: 'desc' } } } },
  });

  // fields
  add('fields', todos({ priority: 2 }, { fields: ['title', 'done'] }));
  add('fields without the attr of the where', todos({ priority: 2 }, { fields: ['label'] }));
  add(
    'fields without the attr of the order',
    todos({ priority: 2 }, { fields: ['label'], order: { title: 'asc' } }),
  );
  add('nested fields', {
    todos: { $: { where: { priority: 2 }, fields: ['title'] }, owner: { $: { fields: ['name'] } } },
  });
  add('only ids', { tags: { $: { fields: ['id'] } } });

  // order
  for (const direction of ['asc', 'desc']) {
    add(`order by string ${direction}`, todos({ priority: 5 }, { order: { title: direction } }));
    add(
      `order by string with nulls ${direction}`,
      todos({ priority: 6 }, { order: { label: direction } }),
    );
    add(
      `order by number with nulls ${direction}`,
      todos({ label: 'apple' }, { order: { priority: direction } }),
    );
    add(
      `order by date in mixed forms ${direction}`,
      todos({ priority: 4 }, { order: { due: direction } }),
    );
    add(`order by boolean ${direction}`, todos({ priority: 3 }, { order: { done: direction } }));
    add(
      `order by creation ${direction}`,
      todos({ priority: 2 }, { order: { serverCreatedAt: direction } }),
    );
    add(`order by string ${direction}, first page`, {
      todos: { $: { order: { title: direction }, limit: 50 } },
    });
    add(`order by string with nulls ${direction}, first page`, {
      todos: { $: { order: { label: direction }, limit: 60 } },
    });
    add(`order by date ${direction}, a later page`, {
      todos: { $: { order: { due: direction }, limit: 30, offset: 1_500 } },
    });
    add(`order by number ${direction}, a later page`, {
      people: { $: { order: { score: direction }, limit: 40, offset: 150 } },
    });
    add(`order by string ${direction}, the end`, {
      todos: { $: { order: { title: direction }, last: 25 } },
    });
    add(`order by creation ${direction}, first page`, {
      todos: { $: { order: { serverCreatedAt: direction }, limit: 33 } },
    });
  }
  add('limit without order', { todos: { $: { limit: 20 } } });
  add('first without order', { comments: { $: { first: 15 } } });
  add('limit and offset without order', { todos: { $: { limit: 20, offset: 40 } } });
  add('offset past the end', { tags: { $: { limit: 5, offset: 5_000 } } });
  add('limit past the end', { tags: { $: { limit: 5_000 } } });
  add('limit with a where and nested forms', {
    todos: {
      $: { where: { done: true }, limit: 10, order: { title: 'asc' } },
      owner: {},
      tags: {},
    },
  });
  add('limit counts entities, not joined rows', {
    todos: { $: { where: { 'tags.hue': { $isNull: false } }, limit: 30, order: { title: 'asc' } } },
  });
  return grid;

  function tags(where, more = {}) {
    return { tags: { $: { where, ...more } } };
  }
  function projects(where, more = {}) {
    return { projects: { $: { where, ...more } } };
  }
  function comments(where, more = {}) {
    return { comments: { $: { where, ...more } } };
  }
  function profiles(where, more = {}) {
    return { profiles: { $: { where, ...more } } };
  }
}

/** A tree with `undefined` links written as null, so that both clients' shapes compare. */
export function plain(tree, query) {
  return Object.fromEntries(
    Object.entries(query).map(([etype, form]) => [
      etype,
      tree[etype].map((row) => plainRow(row, form)),
    ]),
  );
}

function plainRow(row, form) {
  const result = { ...row };
  for (const [label, nested] of Object.entries(form)) {
    if (label === '$') continue;
    const value = row[label];
    result[label] = Array.isArray(value)
      ? value.map((child) => plainRow(child, nested))
      : value
        ? plainRow(value, nested)
        : null;
  }
  return result;
}
