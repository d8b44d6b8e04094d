// Start the workshop; README.md tells the settings.
import { resolve } from 'node:path';
import { createHttp } from './http.js';
import { Workshop } from './workshop.js';

const { TRICE_URL = 'http://localhost:8888', TRICE_TOKEN = '', PORT = '8080' } = process.env;
const { HOST = '127.0.0.1', TRICE_PUBLIC_URL = TRICE_URL } = process.env;

if (TRICE_TOKEN === '') {
  console.error('Set TRICE_TOKEN to an access token: trice accounts create EMAIL --print-token');
  process.exit(1);
}
const trice = { url: TRICE_URL.replace(/\/+$/, ''), token: TRICE_TOKEN };
const workshop = await Workshop.open(trice).catch((error) => {
  console.error(`The workshop cannot use trice at ${trice.url}: ${error.message}`);
  process.exit(1);
});
const site = resolve(import.meta.dirname, '../build');
const http = createHttp(workshop, { site, publicUrl: TRICE_PUBLIC_URL.replace(/\/+$/, '') });
http.on('error', (error) => {
  console.error(`The workshop cannot listen on ${HOST}:${PORT}: ${error.message}`);
  process.exit(1);
});
http.listen(Number(PORT), HOST, () => {
  const address = /** @type {import('node:net').AddressInfo} */ (http.address());
  console.log(`The workshop is open at http://${HOST}:${address.port}`);
});
