// This file builds elements. Text of customers enters the page only through text nodes: nothing
// here parses HTML.

export const $ = (id) => document.getElementById(id);

// h creates an element. Properties with a dash in their name, and `role`, become attributes;
// children are nodes or text.
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export const badge = (kind, word) => h("span", { class: `badge ${kind}` }, word);

// setText changes a text only if it differs, so that it does not disturb screen readers and
// selections.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, visible) {
  node.hidden = !visible;
}

// message shows a text, or hides its element if the text is empty.
export function message(node, text) {
  setText(node, text || "");
  show(node, Boolean(text));
}

// fieldError marks a form field, with the reason next to it, or clears the mark.
export function fieldError(input, text) {
  message($(`${input.id}-error`), text);
  if (text) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const second = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
export const number = new Intl.NumberFormat();

// when shows a time in the reader's zone. A hint with the exact UTC opens on hover, focus and tap
// (hint.js).
export function when(iso, { seconds = false } = {}) {
  const at = new Date(iso);
  const [head, tail] = dayAndTime(seconds ? second : minute, at).map((part) => h("span", {}, part));
  const time = h("time", { dateTime: at.toISOString() }, head, tail ? " " : null, tail);
  return h("button", { type: "button", class: "when", "data-utc": utc(at) }, time);
}

// dayAndTime formats a time in two parts, so that a line can break only between them. It returns
// one part if the reader's language mixes day and time.
function dayAndTime(format, at) {
  const parts = format.formatToParts(at);
  const clock = parts.map((p) => (p.type === "literal" ? null : ["hour", "minute", "second", "dayPeriod"].includes(p.type)));
  const seams = clock.flatMap((is, i) => {
    const before = clock.slice(0, i).findLast((was) => was !== null);
    return is !== null && before !== undefined && is !== before ? [i] : [];
  });
  const text = (some) => some.map((p) => p.value).join("").trim();
  return seams.length === 1 ? [text(parts.slice(0, seams[0])), text(parts.slice(seams[0]))] : [text(parts)];
}

function utc(at) {
  return at.toISOString().replace("T", " ").replace(/(\.000)?Z$/, " UTC");
}
