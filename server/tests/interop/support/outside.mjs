// The mail server and the sign-in provider beside the server under test (support/outside_world.py).
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { post } from './server.mjs';
import { until, within } from './wait.mjs';

const TESTS = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const PYTHON = process.env.TRICE_COMMAND
  ? path.join(path.dirname(process.env.TRICE_COMMAND), 'python')
  : path.resolve(TESTS, '../../.venv/bin/python');

/** Where an app's own page is, in tests that follow redirects without a browser. */
export const SITE = 'https://site.example';

/**
 * Start both.
 *
 * env        what `startServer` needs to use them
 * code       wait for mail to an address; the code in the newest, other than `previous`
 * person     whose claims the provider gives from now on
 * idToken    a signed token; claims set to null are left out
 */
export async function startOutside() {
  const child = spawn(PYTHON, ['-m', 'support.outside_world'], { cwd: TESTS });
  let errors = '';
  child.stderr.on('data', (bytes) => (errors += bytes));
  process.once('exit', () => child.kill('SIGKILL'));
  const waiting = [];
  const line = () => new Promise((resolve) => waiting.push(resolve));
  const first = line();
  createInterface(child.stdout).on('line', (text) => waiting.shift()?.(JSON.parse(text)));
  const { smtp, discovery } = await within(first, 'start of the outside world').catch(
    (error) => {
      throw new Error(`${error.message}\n${errors}`);
    },
  );
  const ask = (question) => {
    const answer = line();
    child.stdin.write(`${JSON.stringify(question)}\n`);
    return within(answer, `${question.do}; ${errors}`);
  };
  const mails = (to) => ask({ do: 'mails', to });
  return {
    env: { TRICE_SMTP_URL: smtp, TRICE_ALLOW_PRIVATE_HOSTS: '1' },
    discovery,
    mails,
    async code(to, previous) {
      return until(async () => {
        const code = codeIn((await mails(to)).at(-1)?.subject ?? '');
        return code !== previous && code;
      }, `a code for ${to}`);
    },
    person: (claims) => ask({ do: 'person', claims }),
    idToken: (claims = {}) => ask({ do: 'id-token', claims }),
    hits: (at) => ask({ do: 'hits', path: at }),
    stop: () => child.stdin.end(),
  };
}

function codeIn(subject) {
  return /(?<!\d)\d{6}(?!\d)/.exec(subject)?.[0];
}

/** A request of the app's developer; the body of a good answer. */
async function manage(server, app, where, body) {
  const answer = await post(`${server.url}/dash/apps/${app.id}/${where}`, body, {
    authorization: `Bearer ${app.adminToken}`,
  });
  if (answer.status !== 200) throw new Error(`POST ${where} answered ${answer.text}`);
  return answer.body;
}

/** Put other rules in force; null for none. */
export const saveRules = (server, app, code) => manage(server, app, 'rules', { code });

/** Let users of an app whose pages are on `site` sign in with the provider: OAuth client `name`. */
export async function addProvider(server, app, outside, { name = 'oidc', site = SITE } = {}) {
  const { provider } = await manage(server, app, 'oauth_service_providers', {
    provider_name: 'fake',
  });
  const { client } = await manage(server, app, 'oauth_clients', {
    provider_id: provider.id,
    client_name: name,
    client_id: 'web',
    client_secret: 's'.repeat(40),
    discovery_endpoint: outside.discovery,
  });
  await manage(server, app, 'authorized_redirect_origins', {
    service: 'generic',
    params: [new URL(site).host],
  });
  return client;
}

/** What a person's browser does, one request at a time: it keeps cookies and follows nothing. */
export function createBrowser() {
  const jar = new Map();
  const keep = (url, response) => {
    for (const cookie of response.headers.getSetCookie()) {
      const [pair] = cookie.split(';');
      jar.set(`${new URL(url).host} ${pair.split('=')[0]}`, pair);
    }
    return response;
  };
  const cookies = (url) =>
    [...jar]
      .filter(([key]) => key.startsWith(`${new URL(url).host} `))
      .map(([, pair]) => pair)
      .join('; ');
  const go = async (url, options = {}) =>
    keep(
      url,
      await fetch(url, {
        redirect: 'manual',
        ...options,
        headers: { cookie: cookies(url), ...options.headers },
      }),
    );
  return {
    go,
    /** From the client's URL through the provider; the address of the app's page at the end. */
    async signIn(url) {
      const start = await go(url);
      if (start.status !== 302) throw new Error(`start answered ${await start.text()}`);
      const page = await (await go(start.headers.get('location'))).text();
      const action = unescape(/action="([^"]*)"/.exec(page)[1]);
      const fields = [...page.matchAll(/name="([^"]*)" value="([^"]*)"/g)].map(
        ([, name, value]) => [name, unescape(value)],
      );
      const back = await go(action, { method: 'POST', body: new URLSearchParams(fields) });
      if (back.status !== 302) throw new Error(`the callback answered ${await back.text()}`);
      return new URL(back.headers.get('location'));
    },
  };
}

function unescape(html) {
  return html.replaceAll('&quot;', '"').replaceAll('&#x27;', "'").replaceAll('&amp;', '&');
}
