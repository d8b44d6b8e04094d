import { useState, type FormEvent } from 'react';
import { api, type CartLineView } from '../client/api.ts';
import { db } from './db';
import { money } from './money';
import { useTask } from './task';

/** What the person wants to buy, and the form that orders it. */
export function Cart() {
  const { data } = db.useCall(api.cart.mine, {});
  return (
    <section aria-labelledby="cart">
      <h2 id="cart">Cart</h2>
      {data?.lines.length === 0 && <p className="quiet">Empty.</p>}
      <ul className="lines">
        {data?.lines.map((line) => (
          <Line key={line.id} line={line} />
        ))}
      </ul>
      {data !== undefined && data.lines.length > 0 && <Checkout total={data.total} />}
    </section>
  );
}

function Line({ line }: { readonly line: CartLineView }) {
  const { isBusy, failure, run } = useTask();
  const { product } = line;
  const put = (quantity: number) =>
    run(() => db.call(api.cart.put, { product: product.id, quantity }));
  return (
    <li>
      <span className="name">{product.name}</span>
      <span className="steps">
        <button
          type="button"
          disabled={isBusy}
          aria-label={`One ${product.name} less`}
          onClick={() => put(line.quantity - 1)}
        >
          −
        </button>
        <output aria-label={`Quantity of ${product.name}`}>{line.quantity}</output>
        <button
          type="button"
          disabled={isBusy || line.quantity >= 99}
          aria-label={`One ${product.name} more`}
          onClick={() => put(line.quantity + 1)}
        >
          +
        </button>
      </span>
      <span>{money(line.quantity * product.price)}</span>
      {failure && <p role="alert">{failure}</p>}
    </li>
  );
}

function Checkout({ total }: { readonly total: number }) {
  const [address, setAddress] = useState('');
  const [email, setEmail] = useState('');
  const { isBusy, failure, run } = useTask();

  function submit(event: FormEvent) {
    event.preventDefault();
    void run(() => db.call(api.orders.place, { address: address.trim(), email: email.trim() }));
  }

  return (
    <form className="card" onSubmit={submit}>
      <label>
        E-mail
        <input
          type="email"
          required
          maxLength={200}
          autoComplete="email"
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
      </label>
      <label>
        Address
        <input
          required
          maxLength={500}
          autoComplete="street-address"
          value={address}
          onChange={(event) => setAddress(event.target.value)}
        />
      </label>
      <button type="submit" className="primary" disabled={isBusy}>
        Order for {money(total)}
      </button>
      {failure && <p role="alert">{failure}</p>}
    </form>
  );
}
