// This file is a table that refreshes itself. Rows stay the same elements while their content
// changes, so that focus, selection and hints survive.

import { get } from "./api.js";
import { h, setText, show, zone } from "./dom.js";
import { forgetHint } from "./hint.js";
import { busy, failed, loading } from "./states.js";

const pageLimit = 1000; // items of one page of the API

// makeList shows the newest items of a path in box: the first ones, and twice as many with each
// “Show more”. columns are {title, cell(item, row)}; zoned ones name the time zone in the head. id
// returns an item's identity. nothing replaces an empty list. With search, {label, from,
// matches(item, word), none}, a list of at least `from` items has a search field, which searches all
// items for each word, in lower case.
export function makeList({ box, path, caption, columns, id, nothing, first = 100, bars = 3, onItems = () => {}, search = null }) {
  const rows = new Map();
  const body = h("tbody", { role: "rowgroup" });
  const table = h("table", { role: "table" },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      ...columns.map((c) => h("th", { scope: "col", role: "columnheader", class: c.class }, c.unseen ? h("span", { class: "unseen" }, c.title) : c.title,
        c.zoned ? h("span", { class: "zone", translate: false }, ` (${zone})`) : null)))),
    body);
  const field = search && h("input", { type: "search", class: "search", "aria-label": search.label, placeholder: search.label, autocomplete: "off", spellcheck: false });
  const none = search && h("p", { class: "none", role: "status", hidden: true }, search.none);
  const finder = search && h("div", { class: "finder", hidden: true }, field);
  const more = h("button", { type: "button", class: "button" }, "Show more");
  const stale = h("p", { class: "stale", role: "status", hidden: true });
  const whole = h("div", {}, stale, finder, table, none, h("div", { class: "more", hidden: true }, more)); // stale first, where it is seen
  let limit = first;
  let running = null;
  let again = false;

  box.replaceChildren(loading(bars));
  more.addEventListener("click", () => busy(more, () => {
    limit *= 2;
    return refresh();
  }));

  field?.addEventListener("input", () => refresh());
  body.addEventListener("keydown", rove);

  const wanted = () => field?.value.trim().toLowerCase() ?? "";

  function render(all, next) {
    onItems(all, Boolean(next));
    const words = wanted().split(/\s+/);
    const items = search ? all.filter((item) => words.every((word) => search.matches(item, word))) : all;
    if (search) {
      show(finder, wanted() !== "" || all.length >= search.from);
      show(none, all.length > 0 && !items.length);
    }
    if (!all.length) {
      rows.clear();
      body.replaceChildren();
      if (nothing.parentElement !== box) box.replaceChildren(nothing);
      return;
    }
    const seen = new Set();
    items.forEach((item, i) => {
      const key = id(item);
      seen.add(key);
      let row = rows.get(key);
      if (!row) {
        row = makeRow(columns);
        rows.set(key, row);
      }
      fillRow(row, columns, item);
      oneStop(row.node);
      if (body.children[i] !== row.node) body.insertBefore(row.node, body.children[i] || null);
    });
    for (const [key, row] of rows) {
      if (seen.has(key)) continue;
      row.node.remove();
      rows.delete(key);
    }
    forgetHint();
    show(more.parentElement, Boolean(next));
    show(stale, false);
    if (whole.parentElement !== box) box.replaceChildren(whole);
  }

  async function once() {
    try {
      const items = [];
      let next = null;
      const enough = wanted() ? Infinity : limit;
      do { // a page may have fewer items than its limit
        const page = await get(`${path}?limit=${Math.min(enough - items.length, pageLimit)}${next ? `&cursor=${encodeURIComponent(next)}` : ""}`);
        items.push(...page.items);
        next = page.next_cursor;
      } while (next && items.length < enough);
      render(items, next);
    } catch (problem) {
      if (whole.parentElement === box) {
        setText(stale, `Not up to date: ${problem.message}`);
        show(stale, true);
      } else if (!box.querySelector(".failed")) {
        box.replaceChildren(failed(problem.message, () => {
          box.replaceChildren(loading(bars));
          refresh();
        }));
      }
    }
  }

  // refresh reads the list. A call during a read waits for another read after it.
  function refresh() {
    if (running) {
      again = true;
      return running;
    }
    running = (async () => {
      do {
        again = false;
        await once();
      } while (again);
    })().finally(() => { running = null; });
    return running;
  }

  return { refresh };
}

function makeRow(columns) {
  const cells = columns.map((c) => h("td", { role: "cell", class: c.class, "data-title": c.unseen ? undefined : c.title }));
  return { node: h("tr", { role: "row" }, ...cells), cells, shown: [] };
}

// oneStop makes a row a single Tab stop: its last button, which is the action if there is one, or
// the one that was reached with the arrow keys.
function oneStop(node) {
  const buttons = [...node.querySelectorAll("button")];
  const stop = buttons.find((b) => b === document.activeElement) ?? buttons.at(-1);
  for (const b of buttons) b.tabIndex = b === stop ? 0 : -1;
}

// rove moves the focus among the buttons of a row with the left and right arrow keys.
function rove(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const node = event.target.closest("tr");
  if (!step || !node || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const buttons = [...node.querySelectorAll("button")];
  const next = buttons[buttons.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
  oneStop(node);
}

// fillRow updates the cells whose source has changed.
function fillRow(row, columns, item) {
  columns.forEach((column, i) => {
    const from = JSON.stringify(column.from ? column.from(item) : item);
    if (row.shown[i] === from) return;
    row.shown[i] = from;
    const content = column.cell(item, row.node);
    row.cells[i].replaceChildren(...(Array.isArray(content) ? content : [content]));
  });
}
