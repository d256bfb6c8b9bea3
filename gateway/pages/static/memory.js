// The plan's memory of each card as a bar, and below it the KV cache that its engines report.

import { card, count, el, table } from "/ui/common.js";

const WIDTH = 1000;
const NAMES = {
  weights: "weights",
  overhead: "activations, graphs, context",
  kv: "KV cache",
  turns: "one model at a time",
  kept: "kept by sleepers",
  free: "left free",
};

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

const gib = (value) => `${value.toFixed(1)} GiB`;

const named = (kind, size, engine) => `${engine} ${NAMES[kind]} ${gib(size)}`.trim();

// Pieces from left to right: [kind, GiB, of which engine]
function planned(place) {
  const always = place.parts.filter((part) => !part.turns).flatMap((part) =>
    [["weights", part.weights_gib, part.engine], ["overhead", part.overhead_gib, part.engine], ["kv", part.kv_gib, part.engine]]);
  return [...always, ["turns", place.turn_gib, ""], ["kept", place.kept_gib, ""], ["free", place.free_gib, ""]].filter(([, size]) => size > 0);
}

function bar(pieces, total, label) {
  const shapes = pieces.map(([kind, size, at, title]) => {
    const x = (at / total) * WIDTH;
    const width = Math.max(0, Math.min(WIDTH - x, (size / total) * WIDTH));
    return svg("rect", { class: kind, x: x.toFixed(1), y: 0, width: width.toFixed(1), height: 20 }, svg("title", {}, title));
  });
  return svg("svg", { class: "memory", viewBox: `0 0 ${WIDTH} 20`, preserveAspectRatio: "none", role: "img", "aria-label": label }, ...shapes);
}

function bars(place) {
  let at = 0;
  const starts = {};
  const pieces = planned(place).map(([kind, size, engine]) => {
    if (kind === "kv") starts[engine] = at;
    at += size;
    return [kind, size, at - size, named(kind, size, engine)];
  });
  const reported = place.parts.filter((part) => !part.turns && part.reported.length)
    .map((part) => ["kv", part.reported[0].kv_gib, starts[part.engine], `${part.engine} reports ${gib(part.reported[0].kv_gib)}`]);
  const told = pieces.map(([, , , title]) => title).join(", ");
  const said = reported.map(([, , , title]) => title).join(", ") || "nothing yet";
  return el("div", { class: "bars" },
    el("span", { class: "quiet" }, "Plan"), bar(pieces, place.total_gib, `Planned: ${told}`),
    el("span", { class: "quiet" }, "Engine"), bar(reported, place.total_gib, `KV cache as reported: ${said}`));
}

function legend(place) {
  const there = planned(place);
  const sums = Object.entries(NAMES).map(([kind, name]) => [kind, name, there.filter(([one]) => one === kind).reduce((sum, [, size]) => sum + size, 0)]);
  return el("ul", { class: "legend" }, ...sums.filter(([, , size]) => size > 0)
    .map(([kind, name, size]) => el("li", {}, el("span", { class: `swatch ${kind}` }), `${name} ${gib(size)}`)));
}

const signed = (share) => `${share > 0 ? "+" : ""}${(share * 100).toFixed(1)} %`;

function rows(place) {
  return place.parts.flatMap((part) => (part.reported.length ? part.reported : [{}]).map((said) => ({ part, said })));
}

function numbers(place) {
  return table(`${place.title}: what is planned, and what engines report`, [
    ["Engine", (row) => row.part.engine + (row.part.turns ? " (in turns)" : "")],
    ["Weights", (row) => gib(row.part.weights_gib), true],
    ["Beside", (row) => gib(row.part.overhead_gib), true],
    ["KV cache", (row) => gib(row.part.kv_gib), true],
    ["KV tokens planned", (row) => row.part.kv_tokens_planned, true],
    ["reported", (row) => (row.said.kv_tokens === undefined ? "not said" : count(row.said.kv_tokens)), true],
    ["Deviation", (row) => (row.said.deviation === undefined ? null : signed(row.said.deviation)), true],
    ["Address", (row) => row.said.address],
  ], rows(place));
}

// One bar for each group of cards; null where the gateway was told of none.
export function memory(places) {
  if (!places.length) return null;
  return card("Memory", ...places.flatMap((place) => [
    el("h3", {}, `${place.title}: ${gib(place.total_gib)}`), bars(place), legend(place), numbers(place),
  ]));
}
