// The dialog that makes a key. The key stands in one element of the page while the dialog shows it, and nowhere else: not in a variable,
// not in storage, not in the history. Closing the dialog, or leaving the page, empties that element.

import { call } from "./api.js";
import { $, fieldError, message, setText, show, zone } from "./dom.js";
import { busy, closeOnBackdrop, copied, copy } from "./ui.js";

const dialog = $("generate-dialog");
const form = $("generate-form");
const nameInput = $("key-name");
const dateInput = $("key-expires");
const inputs = { name: nameInput, expires_at: dateInput };

function forget() {
  setText($("generated-key"), "");
  setText($("generated-status"), "");
  setText($("generated-label"), "");
}

// step shows the form, or the key that was made.
function step(made) {
  show(form, !made);
  show($("generated"), made);
  dialog.setAttribute("aria-labelledby", made ? "generated-title" : "generate-title");
  dialog.setAttribute("closedby", made ? "none" : "closerequest");
}

function open() {
  form.reset();
  forget();
  clear();
  step(false);
  dateInput.min = localDay(new Date());
  dialog.showModal();
  nameInput.focus();
}

function clear() {
  fieldError(nameInput, "");
  fieldError(dateInput, "");
  message($("generate-error"), "");
}

function localDay(d) {
  const two = (n) => String(n).padStart(2, "0");
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

// endOfDay is the last second of a day in the reader's zone.
function endOfDay(day) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date, 23, 59, 59);
}

// check says what is wrong with the form next to the fields, and returns whether nothing is.
function check() {
  clear();
  if (!nameInput.value.trim()) fieldError(nameInput, "Give your key a name.");
  if (dateInput.validity.badInput) fieldError(dateInput, "Enter a whole date, or leave it empty.");
  else if (dateInput.value && endOfDay(dateInput.value) <= Date.now()) fieldError(dateInput, "Choose today or a later day.");
  const wrong = form.querySelector("[aria-invalid]");
  if (wrong) wrong.focus();
  return !wrong;
}

async function generate(refresh) {
  const wish = { name: nameInput.value.trim(), expires_at: dateInput.value ? endOfDay(dateInput.value).toISOString() : null };
  try {
    showKey(await call("POST", "keys", wish));
    refresh();
  } catch (problem) {
    const input = inputs[problem.field];
    if (input) {
      fieldError(input, problem.message);
      input.focus();
    } else {
      message($("generate-error"), problem.message);
    }
  }
}

function showKey(made) {
  if (!dialog.open) return; // it was closed while the key was being made: the list shows it, to be revoked
  setText($("generated-label"), made.name);
  setText($("generated-key"), made.key);
  step(true);
  $("generated-copy").focus();
}

export function startGenerate(refresh) {
  setText($("key-expires-hint"), `The key works until 23:59:59 of that day in your time zone (${zone}). Without a date it does not expire.`);
  $("generate").addEventListener("click", open);
  $("generate-cancel").addEventListener("click", () => dialog.close());
  $("generated-done").addEventListener("click", () => {
    forget(); // at once: the event of closing comes later
    dialog.close();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (check()) busy($("generate-submit"), () => generate(refresh));
  });
  $("generated-copy").addEventListener("click", async () => {
    const code = $("generated-key");
    const worked = await copy(code.textContent, code);
    if (worked) copied($("generated-copy"));
    setText($("generated-status"), worked ? "Copied. Store it in a secure location." : "Your browser does not allow copying here. Select the key and copy it yourself.");
  });
  closeOnBackdrop(form.closest("dialog"), () => !form.hidden);
  dialog.addEventListener("cancel", (event) => {
    if (form.hidden) event.preventDefault(); // a stray Escape must not lose the key; Done closes
  });
  dialog.addEventListener("close", forget);
  window.addEventListener("pagehide", () => {
    forget();
    dialog.close();
  });
}
