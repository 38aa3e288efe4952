// This file closes dialogs, keeps them open, and asks for confirmation.

import { $, message, setText } from "./dom.js";
import { toast } from "./toast.js";

// hold keeps a dialog open, while an irrevocable action is in progress or its result has to be
// read, or releases it.
export function hold(dialog, held) {
  dialog.setAttribute("closedby", held ? "none" : "closerequest"); // even if a browser lets a second Escape close it
}

// held returns whether a dialog is kept open.
export const held = (dialog) => dialog.getAttribute("closedby") === "none";

// disable marks a button as disabled. It stays focusable.
export function disable(button, off) {
  if (off) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

// closable makes Cancel, Escape and a click outside close a dialog, unless it is held.
export function closable(dialog, cancel) {
  let began = false;
  const outside = (event) => {
    const r = dialog.getBoundingClientRect();
    return event.target === dialog && (event.clientX < r.left || event.clientX > r.right || event.clientY < r.top || event.clientY > r.bottom);
  };
  dialog.addEventListener("pointerdown", (event) => { began = outside(event); });
  dialog.addEventListener("click", (event) => { if (began && outside(event) && !held(dialog)) dialog.close(); });
  dialog.addEventListener("cancel", (event) => { if (held(dialog)) event.preventDefault(); });
  cancel.addEventListener("click", () => { if (!held(dialog)) dialog.close(); });
}

const dialog = $("confirm");
const ok = $("confirm-ok");
const cancel = $("confirm-cancel");
let asked = null; // what the dialog asks to confirm

// confirm asks before an irrevocable action, and runs it while the dialog is open, so that the
// dialog can show its error. The focus is on Cancel at first. During the action the dialog shows
// `doing` and stays open. Afterwards `done` is announced and `after` gets the focus, because the
// button that asked may be gone.
export function confirm({ title, text, ok: verb, doing, action, done, after }) {
  asked = { doing, action, done, after };
  setText($("confirm-title"), title);
  setText($("confirm-text"), text);
  setText(ok, verb);
  message($("confirm-error"), "");
  work(false);
  dialog.showModal();
  cancel.focus();
}

// work shows whether the action is in progress.
function work(going) {
  hold(dialog, going);
  disable(ok, going);
  disable(cancel, going);
  ok.classList.toggle("busy", going);
  setText($("confirm-status"), going ? asked.doing : "");
}

async function answer() {
  if (held(dialog)) return;
  const { action, done, after } = asked;
  message($("confirm-error"), "");
  work(true);
  try {
    await action();
  } catch (problem) {
    work(false);
    message($("confirm-error"), problem.message);
    return;
  }
  work(false);
  dialog.close();
  after.focus();
  toast(done); // only now: nothing outside an open dialog is announced
}

export function startDialogs() {
  closable(dialog, cancel);
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    answer();
  });
}
