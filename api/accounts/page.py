"""Where the links of mails and the sign-ins elsewhere of browsers lead: one page, in any browser.

It confirms an address, sets a new password, or says whose account a sign-in opened and sets its first password.

Owns: the page, whole in itself: no file, no font, no picture; the one script and the one style sheet are named by their
hashes in its Content-Security-Policy, and it may call this server alone.
Refuses to know: what a token proves. The page sends it to the endpoints that everybody else uses too.

The token stands behind the `#` of the address, which no browser sends, and the page takes it out of the address and so
of the history. Nothing of a mail happens without a click: programs that look into mails open links too. The code of a
sign-in is worth nothing to anybody but the browser that began it, and lasts two minutes, so it is taken at once.
"""

from __future__ import annotations

import json
from string import Template
from typing import Final

from aiohttp import web

from api.errors import AddressUnconfirmed, AddressUnproven, ProviderFailed, SignInDenied, SignInExpired
from api.pages import BASE_STYLE, policy

PATH: Final = "/account"

_STYLE: Final = (
    BASE_STYLE
    + """
body{min-height:100vh;display:grid;grid-template-columns:minmax(0,26rem);place-content:center;padding:1.5rem}
main{padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem}
h1{font-size:1.5rem;line-height:1.25;letter-spacing:-.01em}
p{margin-top:.75rem;color:var(--dim)}
label{display:block;margin-top:1.25rem;font-size:.875rem}
input{width:100%;margin-top:.25rem;padding:.6rem .75rem;font:inherit;color:inherit;background:var(--back);
border:1px solid var(--line);border-radius:.5rem}
button{margin-top:1.25rem;padding:.6rem 1.25rem;font:inherit;font-weight:600;color:var(--on);
background:var(--mark);border:0;border-radius:.5rem;cursor:pointer}
button:disabled{opacity:.6;cursor:default}
"""
)

_SCRIPT: Final = """
"use strict";
const $ = (id) => document.getElementById(id);
const [what, token] = location.hash.slice(1).split("=");
history.replaceState(null, "", location.pathname);

const ERRORS = $errors;
const WORK = {
  "verify-email": {
    title: "Confirm your address",
    text: "One click, and it is done.",
    button: "Confirm",
    body: () => ({ token }),
    done: (data) => `${data.email} is confirmed. You can close this page.`,
  },
  "reset-password": {
    title: "Set a new password",
    text: "Every device has to sign in again with it; what is on them stays.",
    button: "Set the password",
    body: () => ({ token, password: $("password").value }),
    done: () => "The new password is set. Sign in with it on your devices.",
  },
  "sign-in": {
    title: "You are signed in",
    button: "Set the password",
    path: "api/users/change-password",
    body: () => ({ new_password: $("password").value }),
    done: () => "The password is set. Sign in with it on your devices.",
  },
};
// The session of this page, which ends with what is done on it.
let session = null;

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (session !== null) headers.Authorization = `Bearer ${session}`;
  try {
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return await response.json();
  } catch {
    return { success: false, error: "The server did not answer; try again." };
  }
}

function offer(work) {
  say(work.title, work.text);
  $("button").textContent = work.button;
  $("form").hidden = false;
  $("field").hidden = $("password").disabled = what === "verify-email";
}

async function enter() {
  const [provider, code] = token.split(".");
  say("One moment", "Your sign-in is being finished.");
  const answer = await post(`api/auth/oauth/${encodeURIComponent(provider)}/exchange`, { code });
  if (!answer.success) return say("This sign-in did not work", answer.error);
  const { access_token, user } = answer.data;
  session = access_token;
  const who = `As ${user.name}, with the address ${user.email}.`;
  if (user.has_password) {
    say(work.title, `${who} On your devices you sign in with your password. You can close this page.`);
    await leave();
  } else {
    offer({ ...work, text: `${who} Set a password, and you can sign in on your devices too.` });
  }
}

async function leave() {
  if (session !== null) await post("api/auth/logout", {});
  session = null;
}

function say(title, text) {
  $("title").textContent = document.title = title;
  $("text").textContent = text;
}

const work = Object.hasOwn(WORK, what) && token ? WORK[what] : null;
if (what === "sign-in-error") {
  say("This sign-in did not work", Object.hasOwn(ERRORS, token) ? ERRORS[token] : "Begin again.");
} else if (work === null) {
  say("This link is not whole", "Open it from the mail once more, or copy all of it.");
} else if (what === "sign-in") {
  enter();
} else {
  offer(work);
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("button").disabled = true;
  const answer = await post(work.path ?? `api/users/${what}`, work.body());
  $("button").disabled = false;
  if (answer.success) {
    $("form").hidden = true;
    say(work.title, work.done(answer.data));
    await leave();
  } else {
    const details = Array.isArray(answer.details) ? answer.details.map((each) => each.message) : [];
    $("text").textContent = details.length ? details.join(" ") : answer.error;
  }
});
"""

# Where a sign-in elsewhere fails, the address says how by a code.
SIGN_IN_ERRORS: Final = (SignInExpired, SignInDenied, AddressUnproven, AddressUnconfirmed, ProviderFailed)
_SENTENCES: Final = json.dumps({each.code: each.default for each in SIGN_IN_ERRORS}, ensure_ascii=False)
_WHOLE_SCRIPT: Final = _SCRIPT.replace("$errors", _SENTENCES)

_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>FitAI</title>
<style>$style</style>
<main>
<h1 id="title">FitAI</h1>
<p id="text" role="status">This page needs JavaScript. Or give the app the code behind the = in the link.</p>
<form id="form" hidden>
<label id="field" for="password">New password, 10 characters or more
<input id="password" type="password" autocomplete="new-password" minlength="10" required></label>
<button id="button">Go on</button>
</form>
</main>
<script>$script</script>
</html>
""")


POLICY: Final = policy(_STYLE, _WHOLE_SCRIPT)
_HTML: Final = _PAGE.substitute(style=_STYLE, script=_WHOLE_SCRIPT)


def routes() -> list[web.RouteDef]:
    """Return the one route."""
    return [web.get(PATH, _page)]


async def _page(_: web.Request) -> web.Response:
    return web.Response(
        text=_HTML, content_type="text/html", charset="utf-8", headers={"Content-Security-Policy": POLICY}
    )
