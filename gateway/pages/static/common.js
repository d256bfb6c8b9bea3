// What the pages share. Texts are only ever put in as text: nothing here makes HTML of them.

const NAME = "fullbatch-key";
let inMemory = "";

// The key of this tab: in its session storage, or in memory where the browser keeps none. Sent in a header only.
export const key = {
  get() {
    try {
      return sessionStorage.getItem(NAME) || inMemory;
    } catch {
      return inMemory;
    }
  },
  set(value) {
    inMemory = value;
    try {
      if (value) sessionStorage.setItem(NAME, value);
      else sessionStorage.removeItem(NAME);
    } catch {
      // kept in memory
    }
  },
};

export const by = (id) => document.getElementById(id);

// An element: el("td", {class: "number"}, "12", other)
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// Fetches with the key; throws Refused with the gateway's own words.
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      ...options,
      headers: { ...(key.get() ? { authorization: `Bearer ${key.get()}` } : {}), ...options.headers },
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error instanceof TypeError && /header|ByteString|ISO-8859/i.test(error.message)) {
      throw new Refused("This cannot be a key: it has letters that no key has.", 401);
    }
    throw new Refused("The gateway does not answer.", 0);
  }
  if (answer.ok) return answer;
  let message = `The gateway answered ${answer.status}.`;
  try {
    message = (await answer.json()).error.message;
  } catch {
    // no JSON: what stands above will do
  }
  throw new Refused(message, answer.status);
}

export async function read(path) {
  return (await ask(path)).json();
}

export function say(id, text, bad = false) {
  const place = by(id);
  if (place.textContent !== text) place.textContent = text;
  place.classList.toggle("bad", bad);
}

// The form for the key. `use` is called with a key in place, `gone` after it was forgotten; `use` may throw Refused.
export function keyForm(use, gone) {
  const show = (there) => {
    by("key-form").hidden = there;
    by("key-used").hidden = !there;
  };
  const attempt = async () => {
    say("key-said", "");
    try {
      await use();
      show(true);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.status === 401 || error.status === 403) {
        key.set("");
        show(false);
      }
      say("key-said", error.message, true);
    }
  };
  by("key-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const typed = by("key").value.trim();
    if (!typed) {
      by("key").focus();
      return;
    }
    key.set(typed);
    by("key").value = "";
    await attempt();
    (by("key-used").hidden ? by("key") : by("forget")).focus();
  });
  by("forget").addEventListener("click", () => {
    key.set("");
    show(false);
    say("key-said", "The key is forgotten.");
    gone();
    by("key").focus();
  });
  if (key.get()) attempt();
}

// A table in a box that scrolls by itself. Columns: [head, what of a row, whether it is a number]
export function table(caption, columns, rows) {
  const head = el("tr", {}, ...columns.map(([name, , number]) => el("th", { scope: "col", ...(number ? { class: "number" } : {}) }, name)));
  const body = rows.map((row) =>
    el("tr", {}, ...columns.map(([, value, number]) => el("td", number ? { class: "number" } : {}, cell(value(row))))));
  const made = el("table", { "aria-label": caption }, el("thead", {}, head), el("tbody", {}, ...body));
  // Beside the box, or it would scroll away with the table.
  return el("div", {}, el("p", { class: "quiet" }, caption),
    el("div", { class: "table", tabindex: "0", role: "region", "aria-label": caption }, made));
}

function cell(value) {
  if (value === null || value === undefined || value === "") return "–";
  return typeof value === "number" ? count(value) : value;
}

export const count = (number) => number.toLocaleString("en-US", { maximumFractionDigits: 2 });

export function figure(number) {
  return number >= 10 ? Math.round(number).toLocaleString("en-US") : number ? number.toFixed(1) : "0";
}

export const card = (title, ...children) => el("section", { class: "card" }, el("h2", {}, title), ...children);

// As the clock of the one who looks has it.
export const time = (iso) => (iso ? new Date(iso).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" }) : null);

export const moment = (iso) => (iso ? new Date(iso).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" }) : null);

export const listed = (names) => (names === null || names === undefined ? "all" : names.join(", "));

// Again and again while the page is looked at.
export function every(seconds, work) {
  setInterval(() => {
    if (!document.hidden) work();
  }, seconds * 1000);
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without HTTPS browsers give no clipboard, but to what is selected.
    const area = el("textarea", { "aria-hidden": "true", readonly: "" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export function copyButton(text, label) {
  const button = el("button", { type: "button", "aria-label": label }, "Copy");
  button.addEventListener("click", async () => {
    const done = await copied(text);
    button.focus();
    if (!done) return;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return button;
}
