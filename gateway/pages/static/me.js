// The page `/me`: one's own limits, usage and last requests.

import { by, card, count, el, every, figure, key, keyForm, listed, read, Refused, say, table, time } from "/ui/common.js";

const NAMES = { requests_per_minute: "requests a minute", tokens_per_minute: "tokens a minute", concurrent: "at once" };

function tile(name, value, small = "") {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value, small ? el("small", {}, ` ${small}`) : null));
}

function limits(me) {
  const tiles = me.limits.map((one) => tile(`${NAMES[one.name] || one.name} left`, count(one.left), `of ${count(one.limit)}`));
  const now = [tile("running", count(me.running)), tile("waiting", count(me.waiting))];
  return el("dl", { class: "figures many" }, ...tiles, ...now);
}

function terms(me) {
  const said = [`Models: ${listed(me.models)}.`, `Priority: ${me.priority}.`];
  if (!me.limits.length) said.push("No limits a minute.");
  if (me.weight !== 1) said.push(`Share of service: ${count(me.weight)}.`);
  if (me.max_output_tokens) said.push(`At most ${count(me.max_output_tokens)} tokens in an answer.`);
  if (me.max_body_bytes) said.push(`At most ${count(me.max_body_bytes)} bytes in a request.`);
  if (!me.structured) said.push("No structured output.");
  said.push(me.expires ? `Valid until ${time(me.expires)}.` : "It does not expire.");
  return el("p", { class: "quiet" }, said.join(" "));
}

function usage(me) {
  if (me.usage === null) return card("Usage", el("p", {}, `Not to be seen: ${me.usage_text}.`));
  if (!me.usage.length) return card("Usage", el("p", {}, "Nothing in the last 30 days."));
  return card("Usage", table("The last 30 days, by day (UTC) and model", [
    ["Day", (row) => row.day],
    ["Model", (row) => row.model],
    ["Requests", (row) => row.requests, true],
    ["Prompt tokens", (row) => row.prompt_tokens, true],
    ["of them cached", (row) => row.cached_tokens, true],
    ["Answer tokens", (row) => row.completion_tokens, true],
  ], me.usage));
}

const seconds = (value) => (value === null ? null : `${value < 10 ? value.toFixed(2) : figure(value)} s`);

function recent(me) {
  if (!me.recent.length) return card("Last requests", el("p", {}, "None since the gateway started."));
  return card("Last requests", table(`The last ${me.recent.length} since the gateway started; what was asked and answered is not kept`, [
    ["Ended", (row) => time(row.at)],
    ["Outcome", (row) => (row.outcome === "ok" ? "ok" : `${row.outcome} (${row.status})`)],
    ["Model", (row) => row.model],
    ["In the queue", (row) => seconds(row.waited_s), true],
    ["First token", (row) => seconds(row.first_token_s), true],
    ["Whole", (row) => seconds(row.seconds), true],
    ["Prompt", (row) => row.prompt_tokens, true],
    ["Answer", (row) => row.completion_tokens, true],
    ["Path", (row) => row.endpoint],
  ], me.recent));
}

async function show() {
  const me = await read("/ui/v1/me");
  if (!key.get()) return; // forgotten meanwhile
  by("title").textContent = `Key ${me.name}`;
  const scrolled = [...document.querySelectorAll(".table")].map((box) => box.scrollLeft);
  by("content").replaceChildren(limits(me), terms(me), usage(me), recent(me));
  document.querySelectorAll(".table").forEach((box, index) => { box.scrollLeft = scrolled[index] || 0; });
}

by("key-card").hidden = false;
keyForm(show, () => {
  by("title").textContent = "My key";
  by("content").replaceChildren();
});
every(10, () => {
  // Not while somebody is in there with the keyboard: it would be taken from under them.
  if (!key.get() || by("content").contains(document.activeElement)) return;
  show().catch((error) => {
    if (!(error instanceof Refused)) throw error;
    say("key-said", error.message, true);
  });
});
