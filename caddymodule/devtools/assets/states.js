// This file shows states: a button that is busy, and what replaces a list that is loading, empty or
// could not be loaded.

import { h, icon } from "./dom.js";

// busy keeps a button from being pressed twice while work is in progress. It stays focusable.
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
