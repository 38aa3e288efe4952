// This file is the form of the page Webhooks. It shows a secret only until the secret is saved.

import { call, get } from "./api.js";
import { confirm } from "./dialog.js";
import { $, fieldError, message, setText, show } from "./dom.js";
import { busy, failed, loading } from "./states.js";
import { copied, copy, toast } from "./toast.js";

const form = $("webhook-form");
const url = $("url");
const secret = $("secret");
const active = $("active");
const inputs = { url, secret, active };

let saved = null; // the latest webhook from the API; null: there is none
let loaded = false;
let removing = false; // the next save removes the secret

const hints = {
  none: "Lets you verify that requests really come from Tenzo. Choose your own or click Generate.",
  set: "A secret is set. Leave this empty to keep it, or enter a new one to replace it.",
  typed: "Save your webhook secret securely: you will need it to verify signatures, and once saved it is not shown again.",
  removing: "The secret will be removed when you save. Requests will then carry no signature.",
};

// inactive returns whether the saved webhook is switched off.
export const inactive = () => saved !== null && !saved.active;

function dirty() {
  return loaded && (url.value.trim() !== (saved?.url ?? "") || secret.value !== "" || removing || active.checked !== (saved?.active ?? false));
}

// paint shows the state that follows from the fields and the saved webhook.
function paint() {
  setText($("active-word"), active.checked ? "Active" : "Inactive");
  $("active-word").className = `badge ${active.checked ? "good" : "off"}`;
  const hasSecret = Boolean(saved?.has_secret);
  const mode = secret.value ? "typed" : removing ? "removing" : hasSecret ? "set" : "none";
  setText($("secret-hint"), hints[mode]);
  secret.placeholder = mode === "set" ? "••••••••••••••••" : "";
  show($("secret-copy"), Boolean(secret.value));
  show($("secret-remove-row"), hasSecret && !secret.value);
  setText($("secret-remove"), removing ? "Keep secret" : "Remove secret");
  show($("unsaved"), dirty());
  show($("webhook-delete"), saved !== null);
}

// fill puts the saved webhook into the fields.
function fill(webhook) {
  saved = webhook;
  loaded = true;
  removing = false;
  url.value = webhook?.url ?? "";
  secret.value = "";
  active.checked = webhook?.active ?? false;
  clear();
  paint();
}

function clear() {
  for (const input of Object.values(inputs)) fieldError(input, "");
  message($("form-error"), "");
}

// load reads the webhook, unless the form has unsaved changes.
export async function load() {
  if (dirty()) return;
  const box = $("webhook-state");
  if (!loaded) box.replaceChildren(loading(2));
  try {
    fill(await get("webhook"));
  } catch (problem) {
    if (problem.code === "webhook_not_found") {
      if (!dirty()) fill(null);
    } else if (!loaded) {
      box.replaceChildren(failed(problem.message, load));
      return;
    }
  }
  box.replaceChildren();
  show($("webhook-fields"), true);
}

async function save() {
  clear();
  if (!url.value.trim()) {
    fieldError(url, "Enter your webhook URL.");
    url.focus();
    return;
  }
  const change = { url: url.value.trim(), active: active.checked };
  if (secret.value) change.secret = secret.value;
  else if (removing) change.secret = null;
  try {
    fill(await call("PUT", "webhook", change));
    toast(saved.active ? "Configuration saved. Webhook delivery is active." : "Configuration saved. Webhook delivery is inactive.");
  } catch (problem) {
    const input = inputs[problem.field];
    if (input) {
      fieldError(input, problem.message);
      input.focus();
    } else {
      message($("form-error"), problem.message);
    }
  }
}

function generate() {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  secret.value = `whsec_${btoa(String.fromCharCode(...bytes))}`;
  fieldError(secret, "");
  removing = false;
  paint();
  secret.focus();
  secret.select();
}

export function startWebhook(changed) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy($("save"), save).then(changed);
  });
  form.addEventListener("input", (event) => {
    if (event.target.id in inputs) fieldError(event.target, "");
    if (secret.value) removing = false;
    paint();
  });
  $("secret-generate").addEventListener("click", generate);
  $("secret-copy").addEventListener("click", async () => {
    if (await copy(secret.value, secret)) {
      copied($("secret-copy"));
      toast("Secret copied.");
    } else {
      toast("Your browser does not allow copying here. Select the secret and copy it yourself.", "bad");
    }
  });
  $("secret-remove").addEventListener("click", () => {
    removing = !removing;
    paint();
  });
  $("webhook-delete").addEventListener("click", () => confirm({
    title: "Delete the webhook configuration?",
    text: "The URL and the secret are removed for good, and events that occur from now on are not delivered. To pause delivery only, switch it off instead.",
    ok: "Delete webhook",
    doing: "Deleting…",
    done: "Webhook configuration deleted.",
    after: $("webhooks-title"),
    action: async () => {
      try {
        await call("DELETE", "webhook");
      } catch (problem) {
        if (problem.code !== "webhook_not_found") throw problem; // already deleted by another client
      }
      fill(null);
      changed();
    },
  }));
  window.addEventListener("beforeunload", (event) => {
    if (dirty()) event.preventDefault(); // the browser asks whether to leave
  });
  window.addEventListener("pagehide", () => {
    secret.value = "";
    paint();
  });
}
