import { api, type OrderView, type Status } from '../client/api.ts';
import { db } from './db';
import { money } from './money';
import { useTask } from './task';

const STANDS: Readonly<Record<Status, string>> = {
  placed: 'Waits for payment',
  paid: 'Paid',
  shipped: 'On its way',
  cancelled: 'Cancelled',
};

/** The person's orders, live: a payment shows when the provider tells of it. */
export function Orders() {
  const { data } = db.useCall(api.orders.mine, {});
  if (data === undefined || data.length === 0) return null;
  return (
    <section aria-labelledby="orders">
      <h2 id="orders">Your orders</h2>
      <ul className="orders">
        {data.map((order) => (
          <Order key={order.id} order={order} />
        ))}
      </ul>
    </section>
  );
}

function Order({ order }: { readonly order: OrderView }) {
  const { isBusy, failure, run } = useTask();
  const pay = () =>
    run(async () => {
      window.location.href = await db.call(api.payments.begin, { order: order.id });
    });
  return (
    <li className="card">
      <div className="line">
        <strong>{money(order.total)}</strong>
        <span className="status" data-status={order.status}>
          {STANDS[order.status]}
        </span>
        <time dateTime={order.placed_at} className="quiet">
          {new Date(order.placed_at).toLocaleString()}
        </time>
      </div>
      <p className="quiet">
        {order.lines.map((line) => `${line.quantity} × ${line.name}`).join(', ')}
      </p>
      {order.status === 'placed' && (
        <div className="line">
          <button type="button" className="primary" disabled={isBusy} onClick={pay}>
            Pay
          </button>
          <button
            type="button"
            disabled={isBusy}
            onClick={() => run(() => db.call(api.orders.cancel, { order: order.id }))}
          >
            Cancel the order
          </button>
        </div>
      )}
      {failure && <p role="alert">{failure}</p>}
    </li>
  );
}
