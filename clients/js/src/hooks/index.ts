/** What the entries of Vue, Svelte and Solid have in common. */
export * from '../index.ts';
export type { PresenceHandle, TypingIndicatorOptions } from './presence.ts';
export type { QueryOptions, RuleOptions } from './sources.ts';
export type { TypingIndicator } from './typed.ts';
