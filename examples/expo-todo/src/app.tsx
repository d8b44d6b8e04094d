import { useState } from 'react';
import { FlatList, Pressable, StyleSheet, Text, TextInput, View } from 'react-native';
import { id, type InstaQLEntity } from 'tricedb/react-native';
import { db } from './db';
import type { schema } from './schema';

type Todo = InstaQLEntity<typeof schema, 'todos'>;

export function App() {
  const { data, error } = db.useQuery({ todos: { $: { order: { createdAt: 'desc' } } } });
  return (
    <View style={styles.page}>
      <Status />
      <NewTodo />
      {error ? <Text style={styles.error}>{error.message}</Text> : null}
      <FlatList
        data={data?.todos ?? []}
        keyExtractor={(todo) => todo.id}
        renderItem={({ item }) => <Row todo={item} />}
      />
    </View>
  );
}

/** Whether the server is there, and how many writes wait for it. */
function Status() {
  const connection = db.useConnectionStatus();
  const waiting = db.usePending().length;
  const storage = db.useStorageStatus();
  return (
    <Text style={styles.status}>
      {connection === 'authenticated' ? 'online' : 'offline'}
      {waiting > 0 ? `, ${waiting} to send` : ''}
      {storage === 'ready' ? '' : `, storage: ${storage}`}
    </Text>
  );
}

function NewTodo() {
  const [title, setTitle] = useState('');
  const add = () => {
    if (title.trim() === '') return;
    setTitle('');
    save(db.tx.todos[id()]!.create({ title, done: false, createdAt: Date.now() }));
  };
  return (
    <TextInput
      style={styles.input}
      placeholder="What is to be done?"
      value={title}
      onChangeText={setTitle}
      onSubmitEditing={add}
    />
  );
}

function Row({ todo }: { todo: Todo }) {
  const toggle = () => save(db.tx.todos[todo.id]!.update({ done: !todo.done }));
  return (
    <Pressable style={styles.row} onPress={toggle} accessibilityRole="checkbox">
      <Text style={todo.done ? styles.done : styles.title}>{todo.title}</Text>
      <Pressable onPress={() => save(db.tx.todos[todo.id]!.delete())} accessibilityLabel="Delete">
        <Text style={styles.title}>×</Text>
      </Pressable>
    </Pressable>
  );
}

/** A write that the server refuses is taken back, and waits in `db.pending` with its reason. */
function save(write: Parameters<typeof db.transact>[0]): void {
  db.transact(write).catch((error: unknown) => console.warn(String(error)));
}

const styles = StyleSheet.create({
  page: { flex: 1, paddingTop: 60, paddingHorizontal: 20 },
  status: { color: '#666', marginBottom: 12 },
  error: { color: '#b00' },
  input: { fontSize: 18, paddingVertical: 10, borderBottomWidth: 1, borderColor: '#ccc' },
  row: { flexDirection: 'row', justifyContent: 'space-between', paddingVertical: 12 },
  title: { fontSize: 18 },
  done: { fontSize: 18, color: '#999', textDecorationLine: 'line-through' },
});
