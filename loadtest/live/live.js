// Charts below the tab "LLM" of Locust's page, and a line above it. Plain SVG: nothing is fetched but ./fullbatch/live.
"use strict";
(() => {
  const COLOURS = ["#3b82f6", "#e07b2f"];
  const CHARTS = [
    { title: "Time to first token", unit: "ms", lines: [["ttft_p50_ms", "p50"], ["ttft_p95_ms", "p95"]] },
    { title: "Time between tokens", unit: "ms", lines: [["itl_p50_ms", "p50"], ["itl_p95_ms", "p95"]] },
    { title: "Output tokens per second", unit: "tokens/s", lines: [["tokens_per_s", "tokens/s"]] },
    { title: "Users", unit: "at once", lines: [["users", "users"]] },
  ];
  const W = 480, H = 220, LEFT = 52, RIGHT = 12, TOP = 12, BOTTOM = 34;

  const style = document.createElement("style");
  style.textContent = `
    #fullbatch { display: none; padding: 24px 0 40px; font: 14px/1.5 system-ui, sans-serif; color: inherit; }
    #fullbatch.shown { display: block; }
    #fullbatch .charts { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
    #fullbatch figure { margin: 0; padding: 10px 12px 4px; border: 1px solid rgba(128, 128, 128, .35); border-radius: 6px; }
    #fullbatch figcaption { font-weight: 600; }
    #fullbatch .legend { font-size: 12.5px; opacity: .8; min-height: 19px; }
    #fullbatch .legend i { display: inline-block; width: 18px; border-top: 2.5px solid; vertical-align: middle; margin: 0 5px 0 10px; }
    #fullbatch svg { display: block; width: 100%; height: auto; }
    #fullbatch text { fill: currentColor; opacity: .7; font-size: 12px; }
    #fullbatch .grid { stroke: currentColor; opacity: .15; }
    #fullbatch path { fill: none; stroke-width: 2; }
    #fullbatch p { margin: 8px 0 0; opacity: .75; font-size: 13px; }`;
  style.textContent += `
    #fullbatch-told { font: 14px/1.5 system-ui, sans-serif; padding: 8px 24px; background: #123a2f; color: #fff; }
    #fullbatch-told a { color: #9fe8cb; }
    form button[type=submit] { position: sticky; bottom: 8px; z-index: 2; }`;
  document.head.append(style);

  // A line above Locust's page: what its form means here, and where our numbers are.
  const line = document.createElement("div");
  line.id = "fullbatch-told";
  line.setAttribute("role", "note");
  document.body.prepend(line);
  const HELP = "The users climb <b>Steps</b>, each for <b>Stage Seconds</b>, up to <b>Number of users</b>, which is the last step. "
    + "<b>Run time</b> (advanced options) ends the run, or prolongs its last step. Tokens of 0: as the workload says.";
  const WHERE = 'Time to first token, time between tokens and tokens/s are in the tab <a href="./?tab=llm">LLM</a>. '
    + "Locust's own tables are of whole answers, all steps mixed; its sizes in bytes are tokens.";
  let told = "";
  function tell() {
    const words = document.querySelector("form [name=steps]") ? HELP : WHERE;
    if (told !== words) line.innerHTML = told = words;
  }

  // The number of users follows the steps, until a person writes something else there.
  const last = (steps) => Math.max(...steps.split(",").map(Number).filter((users) => users > 0), 1);
  function fill() {
    const users = document.querySelector("form [name=userCount]"), steps = document.querySelector("form [name=steps]");
    if (!users || !steps || users.dataset.ours) return;
    users.dataset.ours = "yes";
    const set = () => { if (users.dataset.ours === "yes") users.value = last(steps.value); };
    users.addEventListener("input", () => { users.dataset.ours = "no"; });
    steps.addEventListener("input", set);
  }

  const section = document.createElement("section");
  section.id = "fullbatch";
  section.setAttribute("aria-label", "Live charts of the language model");

  // Below Locust's table; at the end of the page where its page should be built otherwise one day.
  function place() {
    const table = document.querySelector("#root table");
    const parent = (table && table.closest(".MuiContainer-root")) || document.body;
    if (section.parentNode !== parent) parent.append(section);
  }

  // The workload is a part of the form that Locust folds away; open it once.
  let opened = false;
  function open() {
    const folds = [...document.querySelectorAll("form [aria-expanded=false]")];
    const folded = folds.find((fold) => fold.textContent.includes("Custom parameters"));
    if (opened || !folded) return;
    opened = true;
    folded.click();
  }

  const top = (highest) => {
    const power = 10 ** Math.floor(Math.log10(Math.max(highest, 1e-9)));
    return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= highest * 0.999);
  };
  const label = (value) => (value >= 1000 ? `${value / 1000}k` : `${+value.toPrecision(6)}`);
  const text = (x, y, anchor, words) => `<text x="${x}" y="${y}" text-anchor="${anchor}">${words}</text>`;

  function draw(chart, series) {
    const values = series.flatMap((at) => chart.lines.map(([key]) => at[key])).filter((value) => value !== null);
    if (!values.length) return `<figure><figcaption>${chart.title}</figcaption><p>no answer yet</p></figure>`;
    const high = top(Math.max(...values) || 1), end = Math.max(series[series.length - 1].at_s, 1);
    const x = (at) => +(LEFT + (W - LEFT - RIGHT) * at / end).toFixed(1);
    const y = (value) => +(TOP + (H - TOP - BOTTOM) * (1 - value / high)).toFixed(1);
    const rules = [0, 0.5, 1].map((share) => `<line class="grid" x1="${LEFT}" x2="${W - RIGHT}" y1="${y(high * share)}" y2="${y(high * share)}"/>`
      + text(LEFT - 6, y(high * share) + 4, "end", label(high * share))).join("");
    const ticks = text(LEFT, H - 16, "start", "0 s") + text(W - RIGHT, H - 16, "end", `${end} s`);
    const lines = chart.lines.map(([key, name], index) => {
      let pen = "M", path = "";
      for (const at of series) {
        if (at[key] === null) { pen = "M"; continue; }
        path += `${pen}${x(at.at_s)} ${y(at[key])}`;
        if (pen === "M") path += "h1";
        pen = "L";
      }
      return `<path data-line="${key}" d="${path}" stroke="${COLOURS[index]}"><title>${name}</title></path>`;
    }).join("");
    const legend = chart.lines.map(([, name], index) => `<i style="color:${COLOURS[index]}"></i>${name}`).join("");
    return `<figure><figcaption>${chart.title}, ${chart.unit}</figcaption><div class="legend">${legend}</div>`
      + `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="${chart.title}">${rules}${ticks}${lines}</svg></figure>`;
  }

  async function look() {
    open();
    tell();
    fill();
    place();
    const shown = new URLSearchParams(location.search).get("tab") === "llm";
    section.classList.toggle("shown", shown);
    if (!shown) return;
    const answer = await fetch("./fullbatch/live");
    if (!answer.ok) return;
    const { series } = await answer.json();
    section.innerHTML = `<div class="charts">${CHARTS.map((chart) => draw(chart, series)).join("")}</div>`
      + "<p>Stretches of 5 seconds. The last seconds are not whole until the answers under way have ended.</p>";
  }
  const again = () => look().catch(() => {}).finally(() => setTimeout(again, 1000));
  again();
})();
