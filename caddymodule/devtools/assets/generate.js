// This file is the dialog that creates a key. While the dialog shows the key, one element of the
// page contains it, and nothing else does: no variable, no storage, no history. Closing the dialog
// or leaving the page empties that element.

import { call } from "./api.js";
import { closable, disable, hold } from "./dialog.js";
import { $, fieldError, message, setText, show, zone } from "./dom.js";
import { busy } from "./states.js";
import { copied, copy } from "./toast.js";
import { wrongName } from "./validate-name.js";

const dialog = $("generate-dialog");
const form = $("generate-form");
const nameInput = $("key-name");
const dateInput = $("key-expires");
const inputs = { name: nameInput, expires_at: dateInput };
const lastDay = "9999-12-30"; // the API's times end with the year 9999 in UTC, in every zone of a reader

// The words for values that the API refuses although check did not, by field.
const words = {
  name: "A name cannot hold one of these characters. Use letters, digits and simple symbols.",
  expires_at: "This day cannot be chosen: it is past, or too far away.",
};

let creating = false; // a key is being created; its answer is shown whatever happens meanwhile

function forget() {
  setText($("generated-key"), "");
  setText($("generated-status"), "");
  setText($("generated-label"), "");
}

// step shows the form or the new key. Escape must not lose the key; only Done closes the dialog
// then.
function step(shown) {
  show(form, !shown);
  show($("generated"), shown);
  dialog.setAttribute("aria-labelledby", shown ? "generated-title" : "generate-title");
  hold(dialog, shown);
}

function open() {
  if (!creating) {
    form.reset();
    forget();
    clear();
    step(false);
    dateInput.min = localDay(new Date());
    dateInput.max = lastDay;
  }
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

// endOfDay returns the last second of a day in the reader's zone.
function endOfDay(day) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date, 23, 59, 59);
}

// check shows errors of the form next to the fields, and returns whether there are none.
function check() {
  clear();
  fieldError(nameInput, wrongName(nameInput.value.trim()));
  if (dateInput.validity.rangeOverflow) fieldError(dateInput, "Choose an earlier day, or leave the date empty: the key then does not expire.");
  else if (dateInput.validity.badInput) fieldError(dateInput, "Enter a whole date, or leave it empty.");
  else if (dateInput.value && endOfDay(dateInput.value) <= Date.now()) fieldError(dateInput, "Choose today or a later day.");
  const wrong = form.querySelector("[aria-invalid]");
  if (wrong) wrong.focus();
  return !wrong;
}

async function generate(refresh) {
  const params = { name: nameInput.value.trim(), expires_at: dateInput.value ? endOfDay(dateInput.value).toISOString() : null };
  wait(true);
  try {
    const created = await call("POST", "keys", params);
    wait(false);
    showKey(created);
  } catch (problem) {
    wait(false);
    const input = inputs[problem.field];
    if (input) {
      fieldError(input, words[problem.field]);
      input.focus();
    } else {
      message($("generate-error"), problem.message);
    }
  }
  refresh(); // even without an answer: the key may have been created
}

// wait keeps the dialog open while a key is being created, because only the dialog can show it.
function wait(going) {
  creating = going;
  hold(dialog, going);
  disable($("generate-cancel"), going);
}

function showKey(created) {
  setText($("generated-label"), created.name);
  setText($("generated-key"), created.key);
  step(true);
  if (!dialog.open) dialog.showModal(); // the page was left meanwhile and has been restored
  $("generated-copy").focus();
}

export function startGenerate(refresh) {
  setText($("key-expires-hint"), `The key works until 23:59:59 of that day in your time zone (${zone}). Without a date it does not expire.`);
  $("generate").addEventListener("click", open);
  $("generated-done").addEventListener("click", () => {
    forget(); // at once: the close event comes later
    dialog.close();
  });
  form.addEventListener("input", (event) => {
    fieldError(event.target, "");
    message($("generate-error"), "");
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
  closable(dialog, $("generate-cancel"));
  dialog.addEventListener("close", () => { if (!dialog.open) forget(); }); // the event may come after the dialog was opened again
  window.addEventListener("pagehide", () => {
    forget();
    dialog.close();
  });
}
