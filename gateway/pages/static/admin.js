// The page `/admin`: engines, queue and keys, for operators; changes of keys, for admins.

import { ask, by, card, copyButton, count, el, every, figure, key, keyForm, listed, moment, read, Refused, say, table } from "/ui/common.js";
import { memory } from "/ui/memory.js";
import { report } from "/ui/report.js";

function overview(status) {
  const tile = (name, value, small) => el("div", {}, el("dt", {}, name), el("dd", {}, value, small ? el("small", {}, ` ${small}`) : null));
  return el("dl", { class: "figures" },
    tile("requests running", count(status.running), `of ${count(status.places)}`),
    tile("waiting", count(status.waiting)),
    tile("tokens/s now", figure(status.tokens_per_second)));
}

function state(name) {
  return el("span", {}, el("span", { class: `dot ${name}` }), ` ${name}`);
}

function kv(one) {
  if (one.kv_usage === null) return "not said";
  const text = `${(one.kv_usage * 100).toFixed(1)} % of ${count(one.kv_tokens)} tokens`;
  return el("span", {}, el("meter", { min: "0", max: "1", value: String(one.kv_usage), "aria-label": `KV cache of ${one.address}` }), text);
}

function engines(all) {
  const rows = all.flatMap((engine) => (engine.addresses.length ? engine.addresses : [{ address: null, state: engine.state, kv_usage: null }])
    .map((one) => ({ ...one, engine })));
  const texts = all.filter((engine) => engine.text).map((engine) => el("p", { class: "note" }, `${engine.name}: ${engine.text}`));
  return card("Engines", table("Each address of each engine; running and waiting as the engine says, and what this gateway has sent there", [
    ["Engine", (row) => row.engine.name],
    ["State", (row) => state(row.state)],
    ["Models", (row) => listed(row.engine.models)],
    ["KV cache", kv],
    ["Running", (row) => row.running, true],
    ["Waiting", (row) => row.waiting, true],
    ["Sent", (row) => (row.address ? `${row.in_flight} of ${row.places}` : null), true],
    ["Address", (row) => row.address],
  ], rows), ...texts);
}

function queue(all) {
  if (!all.length) return card("Queue", el("p", {}, "Nobody has a request running or waiting."));
  return card("Queue", table("Requests by key", [
    ["Key", (row) => row.key],
    ["Waiting", (row) => row.waiting, true],
    ["Running", (row) => row.running, true],
  ], all));
}

const limit = (value) => (value === null || value === undefined ? "none" : value);
const span = (row) => (row.from === "store" ? null : row.from);

function keys(body) {
  const told = body.keys_text ? [el("p", { class: "note" }, `Keys of the store are not to be seen: ${body.keys_text}.`)] : [];
  const how = body.may_change ? null : el("p", { class: "note" },
    "To change them: ", el("code", {}, "fullbatch keys create | change | rotate | revoke NAME"),
    " on the machine of the gateway; without fullbatch: ", el("code", {}, "python -m gateway.keys --store FILE"), ".");
  return card("Keys", table("All keys; tokens and requests are of today (UTC)", [
    ["Key", (row) => row.name],
    ["State", (row) => span(row) || row.state],
    ["Requests today", (row) => row.requests_today, true],
    ["Tokens today", (row) => row.tokens_today, true],
    ["Requests/min", (row) => limit(row.requests_per_minute), true],
    ["Tokens/min", (row) => limit(row.tokens_per_minute), true],
    ["At once", (row) => limit(row.concurrent), true],
    ["Priority", (row) => row.priority],
    ["Models", (row) => (row.from === "store" ? listed(row.models) : "all")],
    ["Expires", (row) => moment(row.expires) || "never"],
    ["Last used", (row) => moment(row.last_used)],
  ], body.keys), ...told, ...(how ? [how] : []));
}

// What cannot be shown now may be in five seconds.
function later(error) {
  if (!(error instanceof Refused)) throw error;
  say("key-said", error.message, true);
}

async function show() {
  const body = await read("/ui/v1/admin");
  if (!key.get()) return; // forgotten meanwhile
  const scrolled = [...document.querySelectorAll(".table")].map((box) => box.scrollLeft);
  by("change-card").hidden = !body.may_change;
  by("names").replaceChildren(...body.keys.filter((one) => one.from === "store").map((one) => el("option", { value: one.name })));
  by("content").replaceChildren(...[overview(body.status), engines(body.engines), memory(body.memory), queue(body.queue), keys(body), report(body.report, body.report_text)].filter(Boolean));
  document.querySelectorAll(".table").forEach((box, index) => { box.scrollLeft = scrolled[index] || 0; });
}

const TERMS = ["requests_per_minute", "tokens_per_minute", "concurrent", "priority", "models", "expires"];

function fields() {
  const what = by("do").value;
  const terms = what === "create" || what === "change";
  by("terms").hidden = !terms;
  by("terms-note").hidden = !terms;
  by("rotation").hidden = what !== "rotate";
  by("sure-row").hidden = what !== "revoke";
  by("sure").required = what === "revoke";
}

const DONE = { create: "is made", change: "is changed", rotate: "has a new secret", revoke: "is revoked" };

function showSecret(secret) {
  if (!secret) return;
  const hide = el("button", { type: "button" }, "Hide it");
  hide.addEventListener("click", () => {
    by("secret").replaceChildren();
    by("name").focus();
  });
  by("secret").replaceChildren(
    el("p", {}, "The key. It is shown only now:"),
    el("div", { class: "copybox" }, el("pre", { tabindex: "0", "aria-label": "The key" }, el("code", {}, secret)), copyButton(secret, "Copy the key")),
    el("p", {}, hide));
}

async function change() {
  const what = by("do").value;
  const name = by("name").value.trim();
  const asked = { do: what, name };
  if (!by("terms").hidden) {
    const given = TERMS.map((term) => [term, by(term).value.trim()]).filter(([, value]) => value);
    asked.terms = Object.fromEntries(given);
  }
  if (what === "rotate") asked.grace = by("grace").value.trim() || "0";
  by("secret").replaceChildren();
  say("change-said", "");
  try {
    const done = await (await ask("/ui/v1/keys", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(asked),
    })).json();
    say("change-said", `Key ${name} ${DONE[what]}.`);
    showSecret(done.secret);
    by("sure").checked = false;
    for (const term of TERMS) by(term).value = "";
    await show().catch(later);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say("change-said", error.message, true);
  }
}

function gone() {
  by("content").replaceChildren();
  by("secret").replaceChildren();
  by("change-card").hidden = true;
}

fields();
by("do").addEventListener("change", fields);
by("change-form").addEventListener("submit", (event) => {
  event.preventDefault();
  change();
});
by("key-card").hidden = false;
keyForm(show, gone);
every(5, () => {
  // Not while somebody is in there with the keyboard: it would be taken from under them.
  if (!key.get() || by("content").contains(document.activeElement)) return;
  show().catch(later);
});
