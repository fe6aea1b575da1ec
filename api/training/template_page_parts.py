"""The style sheet and the one script of a shared template's page (template_page.py).

The script signs in, or makes an account, copies, and signs out; addresses are relative to the page's own.
"""

from __future__ import annotations

from typing import Final

from api.pages import BASE_STYLE

STYLE: Final = (
    BASE_STYLE
    + """
body{max-width:66rem;margin:0 auto;padding:2rem 1.25rem 4rem}
.about{font-size:.8125rem;font-weight:600;letter-spacing:.06em;text-transform:uppercase;color:var(--mark)}
h1{margin-top:.25rem;font-size:2rem;line-height:1.2;letter-spacing:-.02em;overflow-wrap:anywhere}
.dim{color:var(--dim)}
.tags{margin-top:.75rem;display:flex;flex-wrap:wrap;gap:.375rem}
.tag{padding:.0625rem .625rem;border:1px solid var(--line);border-radius:1rem;font-size:.8125rem;color:var(--dim);
overflow-wrap:anywhere}
.notes{white-space:pre-line;overflow-wrap:anywhere}
header .notes{margin-top:1rem;max-width:44rem}
.all{margin-top:2rem;display:grid;gap:2rem}
@media(min-width:60rem){.all{grid-template-columns:minmax(0,1fr) 20rem;align-items:start}
aside{position:sticky;top:1.5rem}}
.part+.part{margin-top:.5rem}
.part>summary{padding:.25rem 0;cursor:pointer}
.part>summary .dim{margin-left:.5rem;font-size:.875rem}
.part[open]+.part{margin-top:1.25rem}
h2{display:inline;font-size:1.125rem}
.card{margin-top:.75rem;padding:1rem 1.25rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem}
main>.card:first-child,aside .card{margin-top:0}
.to-copy{display:inline-block;margin-top:1rem;color:inherit;text-decoration-color:var(--mark);text-underline-offset:.2em}
@media(min-width:60rem){.to-copy{display:none}}
h3{font-size:1rem;line-height:1.4;overflow-wrap:anywhere}
h3 .tag{margin-left:.5rem;font-weight:400;white-space:nowrap}
.card>.dim,.card>.notes{font-size:.875rem}
ol.sets{margin-top:.5rem;padding:0;list-style:none}
ol.sets li{padding:.4rem 0;display:grid;grid-template-columns:2.75rem minmax(0,1fr);border-top:1px solid var(--line)}
ol.sets b{font-weight:400;color:var(--dim);font-variant-numeric:tabular-nums}
ol.sets i{font-style:normal;color:var(--mark);margin-left:.5rem;font-size:.875rem}
ol.sets small{display:block;font-size:.8125rem;color:var(--dim)}
ol.sets small::first-letter{text-transform:uppercase}
.how{margin-top:.5rem;font-size:.875rem}
.how summary{cursor:pointer;color:var(--dim)}
.how ol{padding-left:1.25rem}.how li,.how p{margin-top:.25rem;overflow-wrap:anywhere}
aside p{margin-top:.5rem;font-size:.875rem;color:var(--dim)}
label{display:block;margin-top:.75rem;font-size:.875rem}
label.tick{display:flex;gap:.5rem;align-items:center}.tick input{width:auto;margin:0}
input{width:100%;margin-top:.25rem;padding:.5rem .75rem;font:inherit;color:inherit;background:var(--back);
border:1px solid var(--line);border-radius:.5rem}
button{width:100%;margin-top:1rem;padding:.6rem 1.25rem;font:inherit;font-weight:600;color:var(--on);
background:var(--mark);border:0;border-radius:.5rem;cursor:pointer}
button:disabled{opacity:.6;cursor:default}
pre{margin-top:.5rem;padding:.75rem;overflow-x:auto;border:1px solid var(--line);border-radius:.5rem;
font:.75rem/1.6 var(--code)}
"""
)
SCRIPT: Final = """
"use strict";
const $ = (id) => document.getElementById(id);
// One for the page: a copy whose answer was lost is made once.
const key = Array.from(crypto.getRandomValues(new Uint32Array(4))).join("-");

async function post(path, body, token) {
  const headers = { Accept: "application/json" };
  if (body !== null) headers["Content-Type"] = "application/json";
  if (token) Object.assign(headers, { Authorization: `Bearer ${token}`, "Idempotency-Key": key });
  try {
    const response = await fetch(path, { method: "POST", headers, body: body && JSON.stringify(body) });
    return await response.json();
  } catch {
    return { success: false, error: "The server did not answer; try again." };
  }
}

async function enter() {
  const who = { email: $("email").value, password: $("password").value };
  if (!$("new").checked) return post("../../users/login", who, null);
  const made = await post("../../users/register", { ...who, name: $("name").value }, null);
  // From now on there is an account, into which another try signs in.
  if (made.success) turn($("new").checked = false);
  return made;
}

function turn(isNew) {
  $("naming").hidden = $("name").disabled = !isNew;
  $("password").autocomplete = isNew ? "new-password" : "current-password";
  $("button").textContent = isNew ? "Sign up and copy" : "Sign in and copy";
}

async function copy() {
  const entered = await enter();
  if (!entered.success) return entered;
  const token = entered.data.access_token;
  if (!token) return { error: "A mail is on its way to you: open its link, then come back and sign in here." };
  const copied = await post(`${location.pathname}/copy`, null, token);
  await post("../../auth/logout", {}, token);
  return copied;
}

$("form").hidden = false;
turn($("new").checked);
$("new").addEventListener("change", () => turn($("new").checked));
$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("button").disabled = true;
  const answer = await copy();
  $("button").disabled = false;
  const messages = (of) => (Array.isArray(of) ? of : []).map((each) => each.message);
  if (!answer.success) {
    return void ($("told").textContent = messages(answer.details).join(" ") || answer.error);
  }
  $("form").hidden = true;
  $("password").value = "";
  const left = messages(answer.data.warnings);
  $("told").textContent = ["It is in your account, and comes to your devices with their next sync.", ...left].join(" ");
});
"""
