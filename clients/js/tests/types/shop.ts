import { i } from '../../src/index.ts';
import type { SchemaShape } from '../../src/schema/shape.ts';

/** A schema with one of everything that types depend on. */
export const shop = i.schema({
  entities: {
    $users: i.entity({ email: i.string().unique().indexed().optional() }),
    people: i.entity({
      name: i.string().indexed(),
      handle: i.string().unique(),
      age: i.number().optional(),
    }),
    orders: i.entity({
      state: i.string<'open' | 'paid'>().indexed(),
      placedAt: i.date().indexed(),
      paidAt: i.date().optional(),
      isGift: i.boolean(),
      address: i.json<{ street: string; zip?: string }>(),
      note: i.any().optional(),
      total: i.number().clientRequired(),
    }),
  },
  links: {
    orderBuyer: {
      forward: { on: 'orders', has: 'one', label: 'buyer', required: true, onDelete: 'cascade' },
      reverse: { on: 'people', has: 'many', label: 'orders' },
    },
    personUser: {
      forward: { on: 'people', has: 'one', label: '$user' },
      reverse: { on: '$users', has: 'one', label: 'person' },
    },
    friends: {
      forward: { on: 'people', has: 'many', label: 'friends' },
      reverse: { on: 'people', has: 'many', label: 'friendOf' },
    },
  },
  rooms: {
    counter: {
      presence: i.entity({ name: i.string(), x: i.number().optional() }),
      topics: { bell: i.entity({ times: i.number() }) },
    },
    quiet: { presence: i.entity({}) },
  },
});

/** The same as interfaces. */
export interface Shop extends SchemaShape {
  rows: {
    $users: { id: string; email?: string };
    people: { id: string; name: string; handle: string; age?: number };
    orders: {
      id: string;
      state: 'open' | 'paid';
      placedAt: string | number;
      paidAt?: string | number;
      isGift: boolean;
      address: { street: string; zip?: string };
      note?: any;
      total: number;
    };
  };
  writes: {
    $users: { email?: string | null };
    people: { name: string; handle: string; age?: number | null };
    orders: {
      state: 'open' | 'paid';
      placedAt: string | number | Date;
      paidAt?: string | number | Date | null;
      isGift: boolean;
      address: { street: string; zip?: string };
      note?: any;
      total: number;
    };
  };
  by: {
    $users: { person: { to: 'people'; has: 'one' } };
    people: {
      orders: { to: 'orders'; has: 'many' };
      $user: { to: '$users'; has: 'one' };
      friends: { to: 'people'; has: 'many' };
      friendOf: { to: 'people'; has: 'many' };
    };
    orders: { buyer: { to: 'people'; has: 'one' } };
  };
  unique: { $users: 'email'; people: 'handle'; orders: never };
  indexed: { $users: 'email'; people: 'name'; orders: 'state' | 'placedAt' };
  rooms: {
    counter: { presence: { name: string; x?: number }; topics: { bell: { times: number } } };
    quiet: { presence: {} };
  };
}
