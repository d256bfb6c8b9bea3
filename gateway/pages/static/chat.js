// A small chat with the model, streamed. The conversation is in this page alone and is gone with it.

import { ask, by, el, key, keyForm, read, Refused, say } from "/ui/common.js";

let turns = [];
let running = null;

// The models that the key may use, in the page's order.
function choose(models) {
  const shown = [...by("model").options].map((option) => option.value);
  const before = by("model").value;
  const ordered = [...shown.filter((name) => models.includes(name)), ...models.filter((name) => !shown.includes(name))];
  by("model").replaceChildren(...ordered.map((name) => el("option", { value: name }, name)));
  if (ordered.includes(before)) by("model").value = before;
  by("choice").hidden = ordered.length < 2;
}

// Text as paragraphs, code between ``` as blocks.
function shown(text) {
  return text.split(/^```.*$/m).map((part, index) =>
    index % 2 ? el("pre", { tabindex: "0" }, el("code", {}, part.replace(/^\n|\n$/g, ""))) : el("p", {}, part.trim()))
    .filter((part) => part.textContent);
}

function turn(role, text = "") {
  const body = el("div", {}, ...shown(text));
  by("log").append(el("div", { class: `turn ${role}` }, el("p", { class: "who" }, role === "user" ? "You" : by("model").value), body));
  by("log").scrollTop = by("log").scrollHeight;
  return body;
}

// The events of an answer, one after the other.
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      const data = line.slice(5).trim();
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

// What came is put in at most once a frame, however fast it comes.
class Answer {
  constructor(place) {
    this.place = place;
    this.text = "";
    this.thought = "";
    this.due = false;
  }

  add(delta) {
    this.text += delta.content || "";
    this.thought += delta.reasoning_content || delta.reasoning || "";
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.due = false;
    const log = by("log");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const thought = this.thought && el("p", { class: "thought" }, this.thought.trim());
    this.place.replaceChildren(...(thought ? [thought] : []), ...shown(this.text));
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}

async function stream(answer, signal) {
  const began = performance.now();
  let first = 0;
  let tokens = 0;
  const response = await ask("/v1/chat/completions", {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: by("model").value, messages: turns, stream: true, stream_options: { include_usage: true },
    }),
  });
  const waited = Number(response.headers.get("x-queue-wait") || 0);
  for await (const event of events(response)) {
    if (event.error) throw new Refused(event.error.message || "The answer broke off.", 500);
    const delta = event.choices?.[0]?.delta;
    if (delta) {
      first = first || performance.now();
      answer.add(delta);
    }
    tokens = event.usage?.completion_tokens || tokens;
  }
  const seconds = (performance.now() - first) / 1000;
  const parts = [`First token after ${((first - began) / 1000).toFixed(2)} s`];
  if (waited >= 0.05) parts.push(`${waited.toFixed(1)} s of it in the queue`);
  if (tokens > 1 && seconds > 0) parts.push(`${tokens} tokens`, `${(tokens / seconds).toFixed(1)} tokens/s`);
  return parts.join(", ");
}

async function send() {
  const text = by("message").value.trim();
  if (!key.get()) {
    say("key-said", "Type a key first.", true);
    by("key").focus();
    return;
  }
  if (!text || running) return;
  running = new AbortController();
  by("message").value = "";
  by("send").disabled = true;
  by("stop").disabled = false;
  say("chat-said", "Waiting for the first token …");
  turns.push({ role: "user", content: text });
  turn("user", text);
  const answer = new Answer(turn("assistant"));
  try {
    say("chat-said", await stream(answer, running.signal));
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof Refused)) throw error;
    say("chat-said", error.name === "AbortError" ? "Stopped." : error.message, error.name !== "AbortError");
  } finally {
    settle(answer, text);
  }
}

function settle(answer, asked) {
  answer.draw();
  running = null;
  by("send").disabled = false;
  by("stop").disabled = true;
  if (answer.text) {
    turns.push({ role: "assistant", content: answer.text });
  } else {
    // Nothing came: the question goes back, to be sent again or changed.
    turns.pop();
    if (!answer.thought) {
      answer.place.parentElement.previousElementSibling.remove();
      answer.place.parentElement.remove();
    }
    if (!by("message").value) by("message").value = asked;
  }
  by("message").focus();
}

function anew() {
  running?.abort();
  turns = [];
  by("log").replaceChildren();
  say("chat-said", "");
  by("message").focus();
}

by("chat").hidden = false;
by("choice").hidden = by("model").options.length < 2;
by("chat-form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
by("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
by("stop").addEventListener("click", () => running?.abort());
by("anew").addEventListener("click", anew);
keyForm(async () => choose((await read("/v1/models")).data.map((one) => one.id)), anew);
