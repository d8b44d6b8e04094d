// From requests to the workshop and back: JSON under /api/, and the built pages.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';
import { BODY_BYTES_MAX, REQUEST_TIMEOUT_MS } from './limits.js';
import { Rates } from './rates.js';
import { Refusal } from './refusal.js';
import { TEMPLATES } from './templates.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const CONTENT_TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
};

/**
 * @typedef {import('node:http').IncomingMessage} Request
 * @typedef {import('node:http').ServerResponse} Response
 * @typedef {import('./workshop.js').Workshop} Workshop
 */

/**
 * @param {Workshop} workshop
 * @param {{site: string, publicUrl: string}} settings  the folder with the built pages, and where
 *   browsers find trice
 */
export function createHttp(workshop, { site, publicUrl }) {
  const about = { url: publicUrl, appId: workshop.registryId, templates: Object.keys(TEMPLATES) };
  const rates = new Rates();
  const server = createServer(async (request, response) => {
    try {
      const [pathname = '/'] = (request.url ?? '/').split('?');
      if (!pathname.startsWith('/api/')) return await sendFile(site, pathname, response);
      if (pathname === '/api/about') return sendJson(response, 200, about);
      sendJson(response, 200, await answer(workshop, rates, request, pathname));
    } catch (error) {
      if (!(error instanceof Refusal)) console.error(error);
      const { status, message } =
        error instanceof Refusal
          ? error
          : { status: 502, message: 'That did not work. Please try again.' };
      sendJson(response, status, { message });
    }
  });
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  return server;
}

/**
 * @param {Workshop} workshop
 * @param {Rates} rates
 * @param {Request} request
 * @param {string} pathname
 */
async function answer(workshop, rates, request, pathname) {
  const [, , noun, projectId, verb, ...rest] = pathname.split('/');
  if (noun !== 'projects' || rest.length > 0) throw new Refusal(404, 'There is nothing here.');
  if (projectId !== undefined && !UUID.test(projectId))
    throw new Refusal(404, 'You have no such app.');
  const body = request.method === 'POST' ? await readJson(request) : {};
  const person = await workshop.person(request.headers.authorization?.replace(/^Bearer /, ''));
  rates.count(person);
  if (projectId === undefined) {
    if (request.method === 'POST') return workshop.create(person, body);
  } else if (request.method === 'DELETE' && verb === undefined) {
    return workshop.remove(person, projectId);
  } else if (request.method === 'POST') {
    if (verb === 'token') return workshop.token(person, projectId);
    if (verb === 'plan') return workshop.plan(person, projectId, body);
    if (verb === 'push') return workshop.push(person, projectId, body);
  }
  throw new Refusal(404, 'There is nothing here.');
}

/**
 * @param {Request} request
 * @returns {Promise<any>} an object
 */
async function readJson(request) {
  const tooLong = new Refusal(413, 'That is too long.');
  if (Number(request.headers['content-length']) > BODY_BYTES_MAX) throw tooLong;
  let text = '';
  // Leaving the loop early ends the connection.
  for await (const bytes of request.setEncoding('utf8')) {
    text += bytes;
    if (text.length > BODY_BYTES_MAX) throw tooLong;
  }
  try {
    const body = text === '' ? {} : JSON.parse(text);
    if (body !== null && typeof body === 'object') return body;
  } catch {
    // Said below.
  }
  throw new Refusal(400, 'The body must be a JSON object.');
}

/**
 * @param {string} site
 * @param {string} pathname
 * @param {Response} response
 */
async function sendFile(site, pathname, response) {
  const path = join(site, normalize(pathname === '/' ? '/index.html' : pathname));
  const type = /** @type {Record<string, string>} */ (CONTENT_TYPES)[extname(path)];
  const isInside = path.startsWith(site + sep);
  const bytes = isInside && type ? await readFile(path).catch(() => undefined) : undefined;
  if (bytes === undefined) throw new Refusal(404, 'There is nothing here.');
  response.writeHead(200, { 'content-type': type, 'x-content-type-options': 'nosniff' });
  response.end(bytes);
}

/**
 * @param {Response} response
 * @param {number} status
 * @param {object} body
 */
function sendJson(response, status, body) {
  // What is left of a body that was not read would be taken for the next request.
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  response.writeHead(status, status === 413 ? { ...headers, connection: 'close' } : headers);
  response.end(JSON.stringify(body));
}
