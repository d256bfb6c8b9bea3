// The page at `/`: renews the figures, and gives each text a button that copies it.

import { ask, by, copyButton, el, every, figure } from "/ui/common.js";

function put(id, text) {
  const place = by(id);
  if (place.textContent !== String(text)) place.textContent = text;
}

function model(one) {
  const about = one.state === "up"
    ? `${one.context.toLocaleString("en-US")} tokens of context`
    : one.state + (one.text ? `: ${one.text}` : "");
  return el("li", { "data-model": one.name },
    el("span", { class: `dot ${one.state}` }), el("b", {}, one.name), " ", el("span", { class: "about" }, about));
}

async function renew() {
  let status;
  try {
    status = await (await ask("/ui/v1/status")).json();
  } catch {
    put("text", "The gateway does not answer");
    by("dot").className = "dot";
    return;
  }
  put("text", status.text);
  document.title = `${status.text} · Fullbatch`;
  by("dot").className = `dot ${status.state}`;
  put("running", status.running);
  put("places", status.places);
  put("waiting", status.waiting);
  put("tokens", figure(status.tokens_per_second));
  by("models").replaceChildren(...status.models.map(model));
}

for (const box of document.querySelectorAll(".copybox")) {
  const name = box.closest("details").querySelector("summary").textContent;
  box.append(copyButton(box.querySelector("code").textContent, `Copy: ${name}`));
}
every(2, renew);
