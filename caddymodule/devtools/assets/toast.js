// This file announces that something happened, and copies to the clipboard.

import { $, h, icon } from "./dom.js";

const toastBox = $("toast");
let toastTimer = 0;

// toast shows a message for some seconds; screen readers announce it once.
export function toast(text, kind = "good") {
  clearTimeout(toastTimer);
  toastBox.replaceChildren(h("p", { class: kind }, icon(kind === "good" ? "check" : "warn"), h("span", {}, text)));
  toastTimer = setTimeout(() => toastBox.replaceChildren(), 8000);
}

// copy puts text on the clipboard and returns whether that worked. If the page is embedded without
// permission to use the clipboard, it selects the content of source, so that the keyboard can copy
// it.
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

// copied shows on a copy button that copying worked.
export function copied(button) {
  const old = button.querySelector(".icon");
  const done = icon("check");
  old.replaceWith(done);
  setTimeout(() => done.replaceWith(old), 2000);
}
