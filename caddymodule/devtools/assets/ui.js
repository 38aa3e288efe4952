// What several parts of the page share: saying that something happened, copying, and what stands where a list does not.

import { $, h, icon } from "./dom.js";

const toastBox = $("toast");
let toastTimer = 0;

// toast says what happened, to eyes for some seconds and to screen readers once.
export function toast(text, kind = "good") {
  clearTimeout(toastTimer);
  toastBox.replaceChildren(h("p", { class: kind }, icon(kind === "good" ? "check" : "warn"), h("span", {}, text)));
  toastTimer = setTimeout(() => toastBox.replaceChildren(), 8000);
}

// copy puts text on the clipboard, and says whether that worked. Where the page is embedded without leave to use the clipboard, it
// selects what stands in source, so that the keyboard can copy it.
export async function copy(text, source) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    if (!source) return false;
    if (source.select) source.select();
    else getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}

// copied shows on a copy button that it worked.
export function copied(button) {
  const old = button.querySelector(".icon");
  const done = icon("check");
  old.replaceWith(done);
  setTimeout(() => done.replaceWith(old), 2000);
}

// busy keeps a button from being pressed twice while work goes on. It stays focusable.
export async function busy(button, work) {
  if (button.getAttribute("aria-disabled") === "true") return undefined;
  button.setAttribute("aria-disabled", "true");
  button.classList.add("busy");
  try {
    return await work();
  } finally {
    button.removeAttribute("aria-disabled");
    button.classList.remove("busy");
  }
}

// What stands in a box instead of a list: that it loads, that there is nothing, or what went wrong.
export function loading(rows = 3) {
  const bars = Array.from({ length: rows }, () => h("div", { class: "skeleton" }, h("i"), h("i"), h("i")));
  return h("div", { class: "loading", role: "status" }, h("span", { class: "unseen" }, "Loading…"), ...bars);
}

export function empty(name, title, text) {
  return h("div", { class: "empty" }, icon(name), h("p", { class: "empty-title" }, title), h("p", {}, text));
}

export const emptyLine = (name, title) => h("div", { class: "empty line" }, icon(name), h("p", {}, title));

export function failed(text, again) {
  return h("div", { class: "empty failed", role: "alert" }, icon("warn"), h("p", { class: "empty-title" }, "This could not be loaded"),
    h("p", {}, text), h("button", { type: "button", class: "button", onclick: again }, "Try again"));
}
