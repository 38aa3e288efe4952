// Building blocks of the page. Whatever a customer typed enters it through text nodes only: nothing here parses HTML.

export const $ = (id) => document.getElementById(id);

// h makes an element. Properties whose name has a dash, and `role`, are set as attributes; children are nodes or text.
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

// setText changes a text only where it differs, so that screen readers and selections are left in peace.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, visible) {
  node.hidden = !visible;
}

// message shows a text, or hides its element where there is none.
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

// when shows a moment in the reader's zone. Its exact UTC is in a hint that opens on hover, focus and tap (hint.js).
export function when(iso, { seconds = false } = {}) {
  const at = new Date(iso);
  const [head, tail] = dayAndTime(seconds ? second : minute, at).map((part) => h("span", {}, part));
  const time = h("time", { dateTime: at.toISOString() }, head, tail ? " " : null, tail);
  return h("button", { type: "button", class: "when", "data-utc": utc(at) }, time);
}

// dayAndTime formats a moment in two parts, between which alone a line may break; in one where the reader's language mingles them.
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
