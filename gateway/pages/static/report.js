// The last load test: its main figures, and the whole report as a file.

import { ask, card, count, el, figure, moment, say, table } from "/ui/common.js";

const pair = (spread) => (spread ? `${figure(spread.p50)} / ${figure(spread.p95)}` : null);

// The key goes in a header, which a plain link cannot send.
async function save(name) {
  const page = await (await ask("/ui/v1/report")).blob();
  const link = el("a", { href: URL.createObjectURL(page), download: `${name}.html` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function saving(name) {
  const button = el("button", { type: "button", id: "save-report" }, "Save the whole report");
  button.addEventListener("click", () => save(name).then(
    () => say("report-said", "Saved. It opens in a browser and fetches nothing."),
    (error) => say("report-said", error.message, true),
  ));
  return el("p", {}, button, el("span", { id: "report-said", class: "said quiet", role: "status" }));
}

// null where there is none and nothing is wrong.
export function report(found, text) {
  if (!found) return text ? card("Last load test", el("p", { class: "note" }, `It cannot be shown: ${text}.`)) : null;
  const sides = new Set(found.stages.map((stage) => stage.side)).size > 1;
  return card("Last load test",
    el("p", {}, `${found.workload}, ${moment(found.started_at)}. ${found.verdict}`),
    table("Its stages; times in milliseconds, half of the requests and 95 of 100", [
      ...(sides ? [["Side", (row) => row.side]] : []),
      ["Stage", (row) => row.label],
      ["Tokens/s", (row) => (row.output_tokens_per_s === null ? null : figure(row.output_tokens_per_s)), true],
      ["First token", (row) => pair(row.ttft_ms), true],
      ["Between tokens", (row) => pair(row.itl_ms), true],
      ["Requests", (row) => count(row.requests), true],
      ["Failed", (row) => count(row.failures), true],
    ], found.stages), saving(found.name));
}
