"""The page at `/dash`: signing in, confirming the sign-in of a command line, the first account. At
`/platform/oauth/start` the same page asks whether an application may act for the account.

One page without parts from elsewhere; its script may run and nothing else (its hash is in the
policy). It keeps the token of the sign-in in the tab only, and shows all texts as texts.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

_STYLE: Final = """
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 12vh auto; padding: 0 1rem;
         color: #1a1a1a; background: #fff }
  h1 { font-size: 1.4rem } form { margin: 1rem 0 } label { display: block; margin: .75rem 0 }
  input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem;
          border: 1px solid #767676; border-radius: .3rem }
  pre { white-space: pre-wrap; word-break: break-all; background: #f2f2f2; padding: .75rem }
  button { font: inherit; padding: .5rem 1rem; border: 0; border-radius: .3rem;
           background: #14532d; color: #fff; margin-right: .5rem }
  button.plain { background: #444 } #logo { max-width: 4rem; max-height: 4rem; display: block }
  [hidden] { display: none } #problem { color: #a00000 }
  :root { color-scheme: light dark }
  @media (prefers-color-scheme: dark) {
    body { color: #e8e8e8; background: #161616 } pre { background: #262626 }
    input { color: inherit; background: #202020; border-color: #8a8a8a }
    #problem { color: #ff9a9a } a { color: #8ab4ff }
  }
"""

_SCRIPT: Final = """
const at = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const ticket = query.get('ticket'), first = query.get('first'), asked = query.get('redirect-id');
const here = asked ? '/platform/oauth/start?redirect-id=' + encodeURIComponent(asked)
  : ticket ? '/dash?ticket=' + encodeURIComponent(ticket) : '/dash';
const scopes = {
  'apps-read': 'See your apps and those of your organisations, with their schemas and rules',
  'apps-write': 'Make, change and delete apps',
  'data-read': 'Read all data in your apps',
  'data-write': 'Change and delete all data in your apps',
  'storage-read': 'Read the files in your apps',
  'storage-write': 'Change and delete the files in your apps',
};
let token = sessionStorage.getItem('trice-token');
function show(id) {
  for (const part of document.querySelectorAll('main > section')) part.hidden = part.id !== id;
  const field = at(id).querySelector('input:not([type=hidden])');
  if (field) field.focus();
}
async function ask(method, path, body) {
  at('problem').textContent = '';
  const headers = { 'content-type': 'application/json' };
  if (token) headers.authorization = 'Bearer ' + token;
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (response.ok) return answer;
  if (response.status === 401) { token = null; sessionStorage.removeItem('trice-token'); start(); }
  throw new Error(answer.message.replace(/^Record [a-z ]+: [a-z-]+\\. /, ''));
}
function on(id, work) {
  at(id).addEventListener('submit', async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    const choice = event.submitter && event.submitter.value;
    try { await work(given, choice); } catch (error) { at('problem').textContent = error.message; }
  });
}
function signedIn(answer) {
  token = answer.token;
  sessionStorage.setItem('trice-token', token);
  history.replaceState(null, '', here);
  start();
}
function showRequest(request) {
  at('logo').hidden = !request.appLogo;
  if (request.appLogo) at('logo').src = request.appLogo;
  for (const each of document.querySelectorAll('.asker')) each.textContent = request.appName;
  at('origin').textContent = request.redirectOrigin;
  at('scopes').replaceChildren(...request.scopes.map((scope) => {
    const item = document.createElement('li');
    item.textContent = scopes[scope];
    return item;
  }));
  const links = [[request.appHomePage, 'Home page'], [request.appTosLink, 'Terms'],
    [request.appPrivacyPolicyLink, 'Privacy'],
    [request.supportEmail && 'mailto:' + request.supportEmail, request.supportEmail]];
  at('links').replaceChildren(...links.filter(([url]) => url).map(([url, text]) => {
    const link = document.createElement('a');
    Object.assign(link, { href: url, textContent: text, target: '_blank', rel: 'noreferrer' });
    const item = document.createElement('li');
    item.append(link);
    return item;
  }));
  at('request-id').value = asked;
  at('grant-token').value = request.grantToken;
}
function showInvites(invites) {
  at('invites').replaceChildren(...invites.map((invite) => {
    const { id, org, app } = invite, { title } = org || app;
    const item = document.createElement('li');
    item.append(org ? `${title}, as ${invite.invitee_role} `
      : `take over the app ${title} of ${invite.inviter_email} `);
    for (const [text, path] of [['Accept', 'accept'], ['Decline', 'decline']]) {
      const button = document.createElement('button');
      button.textContent = text;
      button.className = path === 'accept' ? '' : 'plain';
      button.setAttribute('aria-label', `${text}: ${title}`);
      button.addEventListener('click', async () => {
        try {
          await ask('POST', '/dash/invites/' + path, { 'invite-id': id });
          start();
        } catch (error) { at('problem').textContent = error.message; }
      });
      item.append(button);
    }
    return item;
  }));
  at('invited').hidden = invites.length === 0;
}
async function start() {
  if (first && !token) return show('first');
  if (!token) return show('email');
  try {
    const { user, invites } = await ask('GET', '/dash');
    showInvites(invites);
    for (const each of document.querySelectorAll('.who')) each.textContent = user.email;
    if (asked) showRequest(await ask('POST', '/platform/oauth/claim', { redirect: asked }));
    show(asked ? 'request' : ticket ? 'confirm' : 'account');
  } catch (error) { at('problem').textContent = error.message; }
}
on('first-form', async ({ email }) =>
  signedIn(await ask('POST', '/dash/first-account', { secret: first, email })));
on('email-form', async ({ email, password }) => {
  if (password) return signedIn(await ask('POST', '/dash/auth/password', { email, password }));
  await ask('POST', '/dash/auth/send_magic_code', { email });
  at('sent-to').textContent = email;
  show('code');
});
on('code-form', async ({ code }) => {
  const email = at('sent-to').textContent;
  signedIn(await ask('POST', '/dash/auth/verify_magic_code', { email, code }));
});
on('confirm-form', async (_, choice) => {
  await ask('POST', choice === 'yes' ? '/dash/cli/auth/claim' : '/dash/cli/auth/void', { ticket });
  at('done-text').textContent = choice === 'yes'
    ? 'The command line is signed in. You can close this page.'
    : 'The sign-in was refused. You can close this page.';
  show('done');
});
on('token-form', async ({ name }) => {
  const { data } = await ask('POST', '/dash/personal_access_tokens', { name });
  at('token').textContent = data.token;
  at('token-box').hidden = false;
});
on('password-form', async ({ password }) => {
  await ask('POST', '/dash/password', { password });
  at('password-form').reset();
  at('password-set').hidden = false;
});
on('out-form', async () => {
  await ask('POST', '/dash/signout');
  sessionStorage.removeItem('trice-token');
  location.assign(here);
});
start();
"""

PAGE: Final = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>trice</title>
<style>{_STYLE}</style>
<main>
<h1>trice</h1>
<p id="problem" role="alert"></p>
<section id="first" hidden>
  <p>This server has no account yet. Make the first one.</p>
  <form id="first-form">
    <label>Your e-mail address
      <input name="email" type="email" autocomplete="email" required></label>
    <button>Make the account</button>
  </form>
</section>
<section id="email" hidden>
  <p>Sign in to your account on this server.</p>
  <form id="email-form">
    <label>E-mail address
      <input name="email" type="email" autocomplete="username" required></label>
    <label>Password, if you have one
      <input name="password" type="password" autocomplete="current-password"></label>
    <p>Without a password we send you a code.</p>
    <button>Sign in or send a code</button>
  </form>
</section>
<section id="code" hidden>
  <p>If <b id="sent-to"></b> has an account here, a code is on its way. Without a mail server it is
  in the log of the server.</p>
  <form id="code-form">
    <label>Code
      <input name="code" inputmode="numeric" autocomplete="one-time-code" required></label>
    <button>Sign in</button>
  </form>
</section>
<section id="confirm" hidden>
  <p>A command line asks to sign in as <b class="who"></b>. Allow it only if you have just run
  <code>login</code> yourself.</p>
  <form id="confirm-form">
    <button value="yes">Allow</button><button value="no" class="plain">Refuse</button>
  </form>
</section>
<section id="request" hidden>
  <img id="logo" alt="" hidden>
  <p>The application <b class="asker"></b> asks to act for your account <b class="who"></b>. Its
  name is what its makers say; allow it only if you have just come from it.</p>
  <p>It could:</p>
  <ul id="scopes"></ul>
  <p>You will be sent to <b id="origin"></b>.</p>
  <ul id="links"></ul>
  <form method="post" action="/platform/oauth/grant">
    <input type="hidden" name="redirect_id" id="request-id">
    <input type="hidden" name="grant_token" id="grant-token">
    <button>Allow</button>
    <button formaction="/platform/oauth/deny" class="plain">Refuse</button>
  </form>
</section>
<section id="account" hidden>
  <p>You are signed in as <b class="who"></b>.</p>
  <div id="invited" hidden>
    <p>You are invited to:</p>
    <ul id="invites"></ul>
  </div>
  <form id="token-form">
    <label>Name of a new access token <input name="name" maxlength="200" required></label>
    <button>Make a token</button>
  </form>
  <div id="token-box" hidden>
    <p>Copy it now; it is not shown again.</p>
    <pre id="token"></pre>
  </div>
  <form id="password-form">
    <label>New password
      <input name="password" type="password" autocomplete="new-password" required></label>
    <button>Set the password</button> <span id="password-set" hidden>It is set.</span>
  </form>
  <form id="out-form"><button class="plain">Sign out</button></form>
</section>
<section id="done" hidden><p id="done-text"></p></section>
</main>
<script>{_SCRIPT}</script>
</html>
"""


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def page_headers(*, form_action: str) -> dict[str, str]:
    """Headers of the page: nobody may frame it, as a click on it signs a command line in.

    form_action   where its forms may lead, as a policy names it
    """
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}';"
        f" script-src 'sha256-{_SCRIPT_DIGEST}'; img-src data:; connect-src 'self';"
        f" form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
    )
    return {"cache-control": "no-store", "vary": "accept", "content-security-policy": policy}


_STYLE_DIGEST: Final = _digest(_STYLE)
_SCRIPT_DIGEST: Final = _digest(_SCRIPT)
