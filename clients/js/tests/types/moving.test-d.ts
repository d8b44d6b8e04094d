/** Members of the original's objects that are missing here: docs/from-instant.md lists them. */
import type * as admin from '@instantdb/admin';
import type * as core from '@instantdb/core';
import type * as platform from '@instantdb/platform';
import type * as react from '@instantdb/react';
import { expectTypeOf, test } from 'vitest';
import type { AdminDatabase, init as initAdmin } from '../../src/admin/index.ts';
import type {
  CheckMagicCodeParams,
  Database,
  i,
  init,
  InstantConfig,
  InstantCoreDatabase,
  InstaQLResponse,
  InstaQLResult,
  PresenceResponse,
  User,
  VerifyResponse,
} from '../../src/index.ts';
import type { PlatformApi } from '../../src/platform/index.ts';
import type { InstantReactWebDatabase, ReactDatabase } from '../../src/react/index.ts';
import type { shop } from './shop.ts';

type S = typeof shop;

type Missing<Theirs, Ours> = Exclude<keyof Theirs, keyof Ours>;

type Core = core.InstantCoreDatabase<any>;
type React = react.InstantReactWebDatabase<any>;
type Admin = admin.InstantAdminDatabase<any>;

test('[J257] members of a database in a browser', () => {
  expectTypeOf<Missing<Core, Database>>().toEqualTypeOf<
    '_reactor' | '_syncTableExperimental' | 'subscribeAppStatus'
  >();
  expectTypeOf<Missing<Core['auth'], Database['auth']>>().toEqualTypeOf<never>();
  expectTypeOf<Missing<Core['storage'], Database['storage']>>().toEqualTypeOf<'put' | 'upload'>();
  expectTypeOf<Missing<Core['streams'], Database['streams']>>().toEqualTypeOf<never>();
  expectTypeOf<
    Missing<ReturnType<Core['joinRoom']>, ReturnType<Database['joinRoom']>>
  >().toEqualTypeOf<never>();
  expectTypeOf<Missing<typeof core.i, typeof i>>().toEqualTypeOf<'graph'>();
});

test('[J257] members of a database with hooks', () => {
  expectTypeOf<Missing<React, ReactDatabase>>().toEqualTypeOf<'_core' | 'useAppStatus'>();
  expectTypeOf<Missing<React['rooms'], ReactDatabase['rooms']>>().toEqualTypeOf<never>();
  expectTypeOf<
    Missing<ReturnType<React['room']>, ReturnType<ReactDatabase['room']>>
  >().toEqualTypeOf<'_core'>();
});

test('[J257] members of a database on a server, and of the platform', () => {
  expectTypeOf<Missing<Admin, AdminDatabase>>().toEqualTypeOf<'config' | 'impersonationOpts'>();
  expectTypeOf<Missing<Admin['auth'], AdminDatabase['auth']>>().toEqualTypeOf<'config'>();
  expectTypeOf<Missing<Admin['storage'], AdminDatabase['storage']>>().toEqualTypeOf<
    'config' | 'impersonationOpts' | 'upload'
  >();
  expectTypeOf<Missing<Admin['rooms'], AdminDatabase['rooms']>>().toEqualTypeOf<'config'>();
  expectTypeOf<Missing<Admin['streams'], AdminDatabase['streams']>>().toEqualTypeOf<never>();
  expectTypeOf<Missing<platform.PlatformApi, PlatformApi>>().toEqualTypeOf<
    'canRefreshToken' | 'token' | 'withRetry'
  >();
});

test('[J257] options of `init`', () => {
  type Options<T extends (config: any) => unknown> = Parameters<T>[0];
  expectTypeOf<Missing<core.InstantConfig<any>, Options<typeof init>>>().toEqualTypeOf<
    'ReadableStream' | 'Store' | 'WritableStream' | 'useDateObjects'
  >();
  expectTypeOf<Missing<admin.InstantConfig<any>, Options<typeof initAdmin>>>().toEqualTypeOf<
    | 'ReadableStream'
    | 'WritableStream'
    | 'disableValidation'
    | 'logger'
    | 'useDateObjects'
    | 'verbose'
  >();
});

test('[J259] types have the names of the original too', () => {
  expectTypeOf<InstantReactWebDatabase<S>>().toEqualTypeOf<ReactDatabase<S>>();
  expectTypeOf<InstantCoreDatabase<S>>().toEqualTypeOf<Database<S>>();
  expectTypeOf<InstaQLResponse<S, { people: {} }>>().toEqualTypeOf<
    InstaQLResult<S, { people: {} }>
  >();
  expectTypeOf<CheckMagicCodeParams>().toHaveProperty('code').toEqualTypeOf<string>();
  expectTypeOf<VerifyResponse>().toHaveProperty('user').toEqualTypeOf<User>();
  expectTypeOf<PresenceResponse<{ name: string; mood: string }, 'name'>['peers'][string]>()
    .toHaveProperty('name')
    .toEqualTypeOf<string>();
  const config: InstantConfig<S> = {
    appId: '1',
    schema: {} as InstantConfig<S>['schema'],
    devtool: false,
    verbose: true,
  };
  expectTypeOf(config).toExtend<Parameters<typeof init<S>>[0]>();
});
