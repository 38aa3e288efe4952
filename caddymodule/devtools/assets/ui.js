// What several parts of the page share: saying that something happened, copying, and asking before something is final.

import { $, h, icon, message, setText } from "./dom.js";

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

// closeOnBackdrop closes a dialog where a press began and ended outside it, while it may be closed so.
export function closeOnBackdrop(dialog, may = () => true) {
  let began = false;
  const outside = (event) => {
    const r = dialog.getBoundingClientRect();
    return event.target === dialog && (event.clientX < r.left || event.clientX > r.right || event.clientY < r.top || event.clientY > r.bottom);
  };
  dialog.addEventListener("pointerdown", (event) => { began = outside(event); });
  dialog.addEventListener("click", (event) => { if (began && outside(event) && may()) dialog.close(); });
}

const dialog = $("confirm");
let work = null;

// confirm asks before something is final, and does it while the dialog is open, so that what goes wrong is said there. Focus is on
// Cancel at first; once it is done, `done` says so, and the focus is on `after`, since the button that asked may be gone.
export function confirm({ title, text, ok, action, done, after }) {
  setText($("confirm-title"), title);
  setText($("confirm-text"), text);
  setText($("confirm-ok"), ok);
  message($("confirm-error"), "");
  work = async () => {
    await action();
    dialog.close();
    after.focus();
    toast(done); // not before: what stands outside an open dialog is not announced
  };
  dialog.showModal();
  $("confirm-cancel").focus();
}

export function startDialogs() {
  closeOnBackdrop(dialog);
  $("confirm-cancel").addEventListener("click", () => dialog.close());
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy($("confirm-ok"), async () => {
      message($("confirm-error"), "");
      try {
        await work();
      } catch (problem) {
        message($("confirm-error"), problem.message);
      }
    });
  });
  dialog.addEventListener("close", () => { work = null; });
}

// What stands in a box instead of a list: that it loads, that there is nothing, or what went wrong.
export function loading(rows = 3) {
  const bars = Array.from({ length: rows }, () => h("div", { class: "skeleton" }, h("i"), h("i"), h("i")));
  return h("div", { class: "loading", role: "status" }, h("span", { class: "unseen" }, "Loading…"), ...bars);
}

export function empty(name, title, text) {
  return h("div", { class: "empty" }, icon(name), h("p", { class: "empty-title" }, title), h("p", {}, text));
}

export function failed(text, again) {
  return h("div", { class: "empty failed", role: "alert" }, icon("warn"), h("p", { class: "empty-title" }, "This could not be loaded"),
    h("p", {}, text), h("button", { type: "button", class: "button", onclick: again }, "Try again"));
}
