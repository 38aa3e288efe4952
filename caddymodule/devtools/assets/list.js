// A table that is kept fresh: rows stay the same elements while their content changes, so that focus, selection and hints survive.

import { get } from "./api.js";
import { h, setText, show } from "./dom.js";
import { forgetHint } from "./hint.js";
import { busy, failed, loading } from "./ui.js";

const most = 1000; // items the API gives in one page

// makeList shows the newest items of a path in box: `first` of them, and twice as many each time more are asked for. columns are
// {title, cell(item, row)}; a cell gives its content. id names an item. nothing stands in the place of a list without items.
export function makeList({ box, path, caption, columns, id, nothing, first = 100, bars = 3, onItems = () => {} }) {
  const rows = new Map();
  const body = h("tbody", { role: "rowgroup" });
  const table = h("table", { role: "table" },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      ...columns.map((c) => h("th", { scope: "col", role: "columnheader", class: c.class }, c.unseen ? h("span", { class: "unseen" }, c.title) : c.title)))),
    body);
  const more = h("button", { type: "button", class: "button" }, "Show more");
  const stale = h("p", { class: "stale", role: "status", hidden: true });
  const whole = h("div", {}, stale, table, h("div", { class: "more", hidden: true }, more)); // stale first, where it is seen
  let limit = first;
  let running = null;
  let again = false;

  box.replaceChildren(loading(bars));
  more.addEventListener("click", () => busy(more, () => {
    limit *= 2;
    return refresh();
  }));

  function render(items, next) {
    onItems(items, Boolean(next));
    if (!items.length) {
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
      do { // a page may hold less than was asked for
        const page = await get(`${path}?limit=${Math.min(limit - items.length, most)}${next ? `&cursor=${encodeURIComponent(next)}` : ""}`);
        items.push(...page.items);
        next = page.next_cursor;
      } while (next && items.length < limit);
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

  // refresh reads the list. Whoever calls while a read is under way gets the one after it, which began after the call.
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

// fillRow gives the cells their content where what they are made from has changed.
function fillRow(row, columns, item) {
  columns.forEach((column, i) => {
    const from = JSON.stringify(column.from ? column.from(item) : item);
    if (row.shown[i] === from) return;
    row.shown[i] = from;
    const content = column.cell(item, row.node);
    row.cells[i].replaceChildren(...(Array.isArray(content) ? content : [content]));
  });
}
