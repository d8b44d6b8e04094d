import { init } from 'tricedb/react-native';
import { schema } from './schema';

/** In the Android emulator the machine it runs on is 10.0.2.2. */
const server = process.env.EXPO_PUBLIC_TRICE_SERVER ?? 'http://10.0.2.2:8888';
const appId = process.env.EXPO_PUBLIC_TRICE_APP ?? '00000000-0000-4000-8000-000000000000';

/** Answers and writes that wait are kept by expo-sqlite, as it is installed. */
export const db = init({ appId, server, schema });
