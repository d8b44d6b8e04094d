import { useState } from 'react';
import { api, type ProductView } from '../client/api.ts';
import { beSomebody, db } from './db';
import { money } from './money';
import { useTask } from './task';

const PAGE = 6;

/** What is for sale, live: a price or a stock that changes is seen at once. */
export function Catalogue() {
  const [search, setSearch] = useState('');
  const { data, error, canLoadNextPage, loadNextPage } = db.usePagedCall(api.products.listed, {
    page: { size: PAGE },
    search,
  });
  return (
    <section aria-labelledby="for-sale">
      <div className="line">
        <h2 id="for-sale">For sale</h2>
        <input
          type="search"
          aria-label="Search"
          placeholder="Search"
          value={search}
          onChange={(event) => setSearch(event.target.value)}
        />
      </div>
      {error && <p role="alert">The products do not load: {error.message}</p>}
      {data?.length === 0 && <p className="quiet">Nothing is for sale that fits.</p>}
      <ul className="products">
        {data?.map((product) => (
          <Product key={product.id} product={product} />
        ))}
      </ul>
      {canLoadNextPage && (
        <button type="button" onClick={loadNextPage}>
          More
        </button>
      )}
    </section>
  );
}

function Product({ product }: { readonly product: ProductView }) {
  const { isBusy, failure, run } = useTask();
  const { user } = db.useAuth();
  const cart = db.useCall(api.cart.mine, user ? {} : null).data;
  const inCart = cart?.lines.find((line) => line.product.id === product.id)?.quantity ?? 0;

  const put = () =>
    run(async () => {
      await beSomebody();
      await db.call(api.cart.put, { product: product.id, quantity: inCart + 1 });
    });

  return (
    <li className="card">
      <h3>{product.name}</h3>
      <p className="quiet">{product.about}</p>
      <div className="line">
        <strong>{money(product.price)}</strong>
        <span className="quiet">{stock(product.stock)}</span>
        <button
          type="button"
          className="primary"
          disabled={isBusy || product.stock <= inCart}
          aria-label={`Put ${product.name} into the cart`}
          onClick={put}
        >
          Add
        </button>
      </div>
      {failure && <p role="alert">{failure}</p>}
    </li>
  );
}

function stock(count: number): string {
  if (count <= 0) return 'Sold out';
  return count < 5 ? `${count} left` : 'In stock';
}
