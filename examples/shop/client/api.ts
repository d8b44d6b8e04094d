// Made by `trice generate` of functions/ and the schema: run it again when these change.
import type { SchemaShape } from "tricedb";

/** What a customer wants to buy, and what it costs. */
export interface Cart {
  lines: CartLineView[];
  total: number;
}

export interface CartLineView {
  id: string;
  quantity: number;
  product: ProductView;
}

export interface OrderLineView {
  id: string;
  name: string;
  price: number;
  quantity: number;
}

export interface OrderView {
  id: string;
  status: Status;
  placed_at: string;
  address: string;
  total: number;
  lines: OrderLineView[];
}

export interface ProductView {
  id: string;
  slug: string;
  name: string;
  about: string;
  price: number;
  stock: number;
}

export interface ReportView {
  id: string;
  day: string;
  orders: number;
  total: number;
}

export type Status = "placed" | "paid" | "shipped" | "cancelled";

export interface CartMineArgs {
  readonly [name: string]: never;
}

/** The caller's cart. */
export interface CartMine {
  readonly name: "cart.mine";
  readonly kind: "query";
  readonly args: CartMineArgs;
  readonly result: Cart;
}

export interface CartPutArgs {
  product: string;
  quantity: number;
}

/** Have so many of a product in the cart; 0 takes it out. */
export interface CartPut {
  readonly name: "cart.put";
  readonly kind: "mutation";
  readonly args: CartPutArgs;
  readonly result: null;
}

export interface OrdersCancelArgs {
  order: string;
}

/** Cancel an order of the caller's that is not paid. */
export interface OrdersCancel {
  readonly name: "orders.cancel";
  readonly kind: "mutation";
  readonly args: OrdersCancelArgs;
  readonly result: null;
}

export interface OrdersMineArgs {
  readonly [name: string]: never;
}

/** The caller's latest orders. */
export interface OrdersMine {
  readonly name: "orders.mine";
  readonly kind: "query";
  readonly args: OrdersMineArgs;
  readonly result: OrderView[];
}

export interface OrdersPlaceArgs {
  address: string;
  email: string;
}

/**
 * Order what is in the caller's cart.
 *
 * All of it or nothing: goods leave the stock, the cart is emptied, and prices stay as they
 * are now. An order that is not paid in half an hour is cancelled.
 */
export interface OrdersPlace {
  readonly name: "orders.place";
  readonly kind: "mutation";
  readonly args: OrdersPlaceArgs;
  readonly result: string;
}

export interface OrdersShipArgs {
  order: string;
}

/** Note that a paid order is on its way, and tell the customer. Staff only. */
export interface OrdersShip {
  readonly name: "orders.ship";
  readonly kind: "mutation";
  readonly args: OrdersShipArgs;
  readonly result: null;
}

export interface PaymentsBeginArgs {
  order: string;
}

/** The address of a page where the caller pays an order. */
export interface PaymentsBegin {
  readonly name: "payments.begin";
  readonly kind: "action";
  readonly args: PaymentsBeginArgs;
  readonly result: string;
}

export interface ProductsCreateArgs {
  slug: string;
  name: string;
  about: string;
  price: number;
  stock?: number;
}

/** Put a new product up for sale. Staff only. */
export interface ProductsCreate {
  readonly name: "products.create";
  readonly kind: "mutation";
  readonly args: ProductsCreateArgs;
  readonly result: string;
}

export interface ProductsListedArgs {
  page: { size?: number; after?: string | null };
  search?: string;
}

export interface ProductsListedListArgs {
  page?: {
    size?: number;
  };
  search?: string;
}

/** The products for sale by name, a page at a time. */
export interface ProductsListed {
  readonly name: "products.listed";
  readonly kind: "query";
  readonly args: ProductsListedArgs;
  readonly result: { items: ProductView[]; next: string | null };
  readonly paged: "page";
  readonly list: ProductsListedListArgs;
  readonly item: ProductView;
}

export interface ProductsOneArgs {
  slug: string;
}

/** A product by its slug, listed or not: orders keep links to it. */
export interface ProductsOne {
  readonly name: "products.one";
  readonly kind: "query";
  readonly args: ProductsOneArgs;
  readonly result: ProductView | null;
}

export interface ProductsRestockArgs {
  product: string;
  more: number;
}

/** Add to the stock of a product. Staff only. */
export interface ProductsRestock {
  readonly name: "products.restock";
  readonly kind: "mutation";
  readonly args: ProductsRestockArgs;
  readonly result: null;
}

export interface ReportsLatestArgs {
  readonly [name: string]: never;
}

/** The sales of the last days, the newest first. Staff only. */
export interface ReportsLatest {
  readonly name: "reports.latest";
  readonly kind: "query";
  readonly args: ReportsLatestArgs;
  readonly result: ReportView[];
}

export interface CartApi {
  readonly mine: CartMine;
  readonly put: CartPut;
}

export interface OrdersApi {
  readonly cancel: OrdersCancel;
  readonly mine: OrdersMine;
  readonly place: OrdersPlace;
  readonly ship: OrdersShip;
}

export interface PaymentsApi {
  readonly begin: PaymentsBegin;
}

export interface ProductsApi {
  readonly create: ProductsCreate;
  readonly listed: ProductsListed;
  readonly one: ProductsOne;
  readonly restock: ProductsRestock;
}

export interface ReportsApi {
  readonly latest: ReportsLatest;
}

export interface Api {
  readonly cart: CartApi;
  readonly orders: OrdersApi;
  readonly payments: PaymentsApi;
  readonly products: ProductsApi;
  readonly reports: ReportsApi;
}

/** What `db.call`, `useCall` and `usePagedCall` take; the rest is types. */
export const api = {
  cart: {
    mine: { name: "cart.mine", kind: "query" },
    put: { name: "cart.put", kind: "mutation" },
  },
  orders: {
    cancel: { name: "orders.cancel", kind: "mutation" },
    mine: { name: "orders.mine", kind: "query" },
    place: { name: "orders.place", kind: "mutation" },
    ship: { name: "orders.ship", kind: "mutation" },
  },
  payments: {
    begin: { name: "payments.begin", kind: "action" },
  },
  products: {
    create: { name: "products.create", kind: "mutation" },
    listed: { name: "products.listed", kind: "query", paged: "page" },
    one: { name: "products.one", kind: "query" },
    restock: { name: "products.restock", kind: "mutation" },
  },
  reports: {
    latest: { name: "reports.latest", kind: "query" },
  },
} as unknown as Api;

export interface FilesRow {
  id: string;
  path: string;
  url: string;
}

export interface StreamsRow {
  id: string;
  clientId: string;
  done?: boolean;
  size?: number;
  abortReason?: string;
}

export interface UsersRow {
  id: string;
  email?: string;
  imageURL?: string;
  type?: string;
  is_staff?: boolean;
}

export interface ProductsRow {
  id: string;
  slug: string;
  name: string;
  about: string;
  price: number;
  stock: number;
  is_listed: boolean;
}

export interface CartLinesRow {
  id: string;
  quantity: number;
  changed_at: string | number;
}

export interface OrdersRow {
  id: string;
  status: "placed" | "paid" | "shipped" | "cancelled";
  placed_at: string | number;
  paid_at?: string | number;
  address: string;
  email: string;
  total: number;
}

export interface OrderLinesRow {
  id: string;
  name: string;
  price: number;
  quantity: number;
}

export interface PaymentsRow {
  id: string;
  event: string;
  amount: number;
  is_due_back: boolean;
}

export interface ReportsRow {
  id: string;
  day: string | number;
  orders: number;
  total: number;
}

export interface FilesWrite {
  path: string;
  url: string;
}

export interface StreamsWrite {
  clientId: string;
  done?: boolean | null;
  size?: number | null;
  abortReason?: string | null;
}

export interface UsersWrite {
  email?: string | null;
  imageURL?: string | null;
  type?: string | null;
  is_staff?: boolean | null;
}

export interface ProductsWrite {
  slug: string;
  name: string;
  about: string;
  price: number;
  stock: number;
  is_listed: boolean;
}

export interface CartLinesWrite {
  quantity: number;
  changed_at: string | number | Date;
}

export interface OrdersWrite {
  status: "placed" | "paid" | "shipped" | "cancelled";
  placed_at: string | number | Date;
  paid_at?: string | number | Date | null;
  address: string;
  email: string;
  total: number;
}

export interface OrderLinesWrite {
  name: string;
  price: number;
  quantity: number;
}

export interface PaymentsWrite {
  event: string;
  amount: number;
  is_due_back: boolean;
}

export interface ReportsWrite {
  day: string | number | Date;
  orders: number;
  total: number;
}

export interface FilesLinks {}

export interface StreamsLinks {}

export interface UsersLinks {
  cart: { to: "cart_lines"; has: "many" };
  orders: { to: "orders"; has: "many" };
  linkedPrimaryUser: { to: "$users"; has: "one" };
  linkedGuestUsers: { to: "$users"; has: "many" };
}

export interface ProductsLinks {
  in_carts: { to: "cart_lines"; has: "many" };
  sold: { to: "order_lines"; has: "many" };
}

export interface CartLinesLinks {
  owner: { to: "$users"; has: "one" };
  product: { to: "products"; has: "one" };
}

export interface OrdersLinks {
  customer: { to: "$users"; has: "one" };
  lines: { to: "order_lines"; has: "many" };
  payments: { to: "payments"; has: "many" };
}

export interface OrderLinesLinks {
  order: { to: "orders"; has: "one" };
  product: { to: "products"; has: "one" };
}

export interface PaymentsLinks {
  order: { to: "orders"; has: "one" };
}

export interface ReportsLinks {}

export interface Schema extends SchemaShape {
  rows: {
    $files: FilesRow;
    $streams: StreamsRow;
    $users: UsersRow;
    products: ProductsRow;
    cart_lines: CartLinesRow;
    orders: OrdersRow;
    order_lines: OrderLinesRow;
    payments: PaymentsRow;
    reports: ReportsRow;
  };
  writes: {
    $files: FilesWrite;
    $streams: StreamsWrite;
    $users: UsersWrite;
    products: ProductsWrite;
    cart_lines: CartLinesWrite;
    orders: OrdersWrite;
    order_lines: OrderLinesWrite;
    payments: PaymentsWrite;
    reports: ReportsWrite;
  };
  by: {
    $files: FilesLinks;
    $streams: StreamsLinks;
    $users: UsersLinks;
    products: ProductsLinks;
    cart_lines: CartLinesLinks;
    orders: OrdersLinks;
    order_lines: OrderLinesLinks;
    payments: PaymentsLinks;
    reports: ReportsLinks;
  };
  unique: {
    $files: "path";
    $streams: "clientId";
    $users: "email";
    products: "slug";
    cart_lines: never;
    orders: never;
    order_lines: never;
    payments: "event";
    reports: "day";
  };
  indexed: {
    $files: "path";
    $streams: "clientId";
    $users: "email";
    products: "slug" | "name" | "is_listed";
    cart_lines: "changed_at";
    orders: "status" | "placed_at" | "paid_at";
    order_lines: "name";
    payments: "event";
    reports: "day";
  };
  rooms: {};
}

/** What `init` takes. Its types are only types, so it is a plain value. */
export const schema = {
  entities: {
    $files: {
      attrs: {
        path: {
          valueType: "string",
          required: true,
          config: { indexed: true, unique: true },
        },
        url: {
          valueType: "string",
          required: true,
          config: { indexed: false, unique: false },
        },
      },
    },
    $streams: {
      attrs: {
        clientId: {
          valueType: "string",
          required: true,
          config: { indexed: true, unique: true },
        },
        done: {
          valueType: "boolean",
          required: false,
          config: { indexed: false, unique: false },
        },
        size: {
          valueType: "number",
          required: false,
          config: { indexed: false, unique: false },
        },
        abortReason: {
          valueType: "string",
          required: false,
          config: { indexed: false, unique: false },
        },
      },
    },
    $users: {
      attrs: {
        email: {
          valueType: "string",
          required: false,
          config: { indexed: true, unique: true },
        },
        imageURL: {
          valueType: "string",
          required: false,
          config: { indexed: false, unique: false },
        },
        type: {
          valueType: "string",
          required: false,
          config: { indexed: false, unique: false },
        },
        is_staff: {
          valueType: "boolean",
          required: false,
          config: { indexed: false, unique: false },
        },
      },
    },
    products: {
      attrs: {
        slug: {
          valueType: "string",
          required: true,
          config: { indexed: true, unique: true },
        },
        name: {
          valueType: "string",
          required: true,
          config: { indexed: true, unique: false },
        },
        about: {
          valueType: "string",
          required: true,
          config: { indexed: false, unique: false },
        },
        price: {
          valueType: "number",
          required: true,
          config: { indexed: false, unique: false },
        },
        stock: {
          valueType: "number",
          required: true,
          config: { indexed: false, unique: false },
        },
        is_listed: {
          valueType: "boolean",
          required: true,
          config: { indexed: true, unique: false },
        },
      },
    },
    cart_lines: {
      attrs: {
        quantity: {
          valueType: "number",
          required: true,
          config: { indexed: false, unique: false },
        },
        changed_at: {
          valueType: "date",
          required: true,
          config: { indexed: true, unique: false },
        },
      },
    },
    orders: {
      attrs: {
        status: {
          valueType: "string",
          required: true,
          config: { indexed: true, unique: false },
        },
        placed_at: {
          valueType: "date",
          required: true,
          config: { indexed: true, unique: false },
        },
        paid_at: {
          valueType: "date",
          required: false,
          config: { indexed: true, unique: false },
        },
        address: {
          valueType: "string",
          required: true,
          config: { indexed: false, unique: false },
        },
        email: {
          valueType: "string",
          required: true,
          config: { indexed: false, unique: false },
        },
        total: {
          valueType: "number",
          required: true,
          config: { indexed: false, unique: false },
        },
      },
    },
    order_lines: {
      attrs: {
        name: {
          valueType: "string",
          required: true,
          config: { indexed: true, unique: false },
        },
        price: {
          valueType: "number",
          required: true,
          config: { indexed: false, unique: false },
        },
        quantity: {
          valueType: "number",
          required: true,
          config: { indexed: false, unique: false },
        },
      },
    },
    payments: {
      attrs: {
        event: {
          valueType: "string",
          required: true,
          config: { indexed: true, unique: true },
        },
        amount: {
          valueType: "number",
          required: true,
          config: { indexed: false, unique: false },
        },
        is_due_back: {
          valueType: "boolean",
          required: true,
          config: { indexed: false, unique: false },
        },
      },
    },
    reports: {
      attrs: {
        day: {
          valueType: "date",
          required: true,
          config: { indexed: true, unique: true },
        },
        orders: {
          valueType: "number",
          required: true,
          config: { indexed: false, unique: false },
        },
        total: {
          valueType: "number",
          required: true,
          config: { indexed: false, unique: false },
        },
      },
    },
  },
  links: {
    cart_linesOwner: {
      forward: {
        on: "cart_lines",
        label: "owner",
        has: "one",
        required: true,
        onDelete: "cascade",
      },
      reverse: { on: "$users", label: "cart", has: "many" },
    },
    cart_linesProduct: {
      forward: {
        on: "cart_lines",
        label: "product",
        has: "one",
        required: true,
        onDelete: "cascade",
      },
      reverse: { on: "products", label: "in_carts", has: "many" },
    },
    ordersCustomer: {
      forward: {
        on: "orders",
        label: "customer",
        has: "one",
        required: true,
        onDelete: "cascade",
      },
      reverse: { on: "$users", label: "orders", has: "many" },
    },
    order_linesOrder: {
      forward: {
        on: "order_lines",
        label: "order",
        has: "one",
        required: true,
        onDelete: "cascade",
      },
      reverse: { on: "orders", label: "lines", has: "many" },
    },
    order_linesProduct: {
      forward: { on: "order_lines", label: "product", has: "one" },
      reverse: { on: "products", label: "sold", has: "many" },
    },
    paymentsOrder: {
      forward: { on: "payments", label: "order", has: "one" },
      reverse: { on: "orders", label: "payments", has: "many" },
    },
    $usersLinkedPrimaryUser: {
      forward: {
        on: "$users",
        label: "linkedPrimaryUser",
        has: "one",
        onDelete: "cascade",
      },
      reverse: { on: "$users", label: "linkedGuestUsers", has: "many" },
    },
  },
} as unknown as Schema;
