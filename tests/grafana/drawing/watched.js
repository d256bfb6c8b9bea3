// Notes what is drawn on each canvas, so that a test can read axes and thresholds without looking at pixels.
const seen = new WeakMap();

function of(canvas) {
  if (!seen.has(canvas)) seen.set(canvas, { texts: [], dashed: [] });
  return seen.get(canvas);
}

const { fillText, stroke, clearRect } = CanvasRenderingContext2D.prototype;
Object.assign(CanvasRenderingContext2D.prototype, {
  fillText(text, ...rest) {
    of(this.canvas).texts.push(text);
    return fillText.call(this, text, ...rest);
  },
  stroke(...rest) {
    if (this.getLineDash().length) of(this.canvas).dashed.push(this.strokeStyle);
    return stroke.call(this, ...rest);
  },
  clearRect(...rest) {
    seen.delete(this.canvas);
    return clearRect.call(this, ...rest);
  },
});

const cut = (element) => element.scrollWidth > element.clientWidth + 1;

// By panel: what it says, what stands on its axes, the colours of its dashed lines, its legend.
window.drawn = () => Object.fromEntries([...document.querySelectorAll("[data-panel]")].map((section) => {
  const canvases = [...section.querySelectorAll("canvas")].map(of);
  const all = (selector) => [...section.querySelectorAll(selector)];
  const names = all("[data-testid*='VizLegend series'] button, .key span").map((one) => one.textContent);
  return [section.dataset.panel, {
    text: section.innerText,
    empty: Boolean(section.querySelector("[data-nothing]")),
    axis: canvases.flatMap((one) => one.texts),
    dashed: [...new Set(canvases.flatMap((one) => one.dashed))],
    legend: names,
    states: [...new Set(all("[data-state]").map((one) => one.dataset.state))],
    cells: all("[data-cell]").length,
    colors: [...new Set(all("span, div").filter((one) => !one.children.length && one.textContent).map((one) => getComputedStyle(one).color))],
    cut: all("h2, h6, [title]").filter(cut).map((one) => one.textContent),
  }];
}));
