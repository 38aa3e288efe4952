// Dialogs: what closes them, what keeps them open, and asking before something is final.

import { $, message, setText } from "./dom.js";
import { toast } from "./ui.js";

// hold keeps a dialog open, while what cannot be called back is under way or its outcome is still to be read, or lets it go again.
export function hold(dialog, held) {
  dialog.setAttribute("closedby", held ? "none" : "closerequest"); // also where a browser lets a second Escape close what refused the first
}

// held says whether a dialog is kept open.
export const held = (dialog) => dialog.getAttribute("closedby") === "none";

// disable marks a button that does nothing at the moment. It stays focusable.
export function disable(button, off) {
  if (off) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

// closable lets Cancel, Escape and a press that began and ended outside it close a dialog, unless it is held.
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
let asked = null; // what the dialog asks

// confirm asks before something is final, and does it while the dialog is open, so that what goes wrong is said there. Focus is on
// Cancel at first; once it is done, `done` says so, and the focus is on `after`, since the button that asked may be gone. While it is
// being done, `doing` says so: it cannot be called back any more, so the dialog stays and nothing else can be asked.
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

// work shows whether what was asked is being done.
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
  toast(done); // not before: what stands outside an open dialog is not announced
}

export function startDialogs() {
  closable(dialog, cancel);
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    answer();
  });
}
