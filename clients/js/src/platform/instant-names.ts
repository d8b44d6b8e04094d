/** Names of the original's platform package for what has another name here. */
export type { InstantRules } from '../schema/rules.ts';
export type * from '../webhooks/instant-names.ts';
export type {
  Backup as AppBackup,
  BackupFile as AppBackupFile,
  Backups as BackupsManager,
} from './backups.ts';
export type { AccessToken as InstantDBOAuthAccessToken } from './tokens.ts';
