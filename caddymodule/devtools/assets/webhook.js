// The form of the page Webhooks. The secret goes one way: the page shows one only while it has not been saved.

import { call, get } from "./api.js";
import { confirm } from "./dialog.js";
import { $, fieldError, message, setText, show } from "./dom.js";
import { busy, copied, copy, failed, loading, toast } from "./ui.js";

const form = $("webhook-form");
const url = $("url");
const secret = $("secret");
const active = $("active");
const inputs = { url, secret, active };

let saved = null; // the webhook as the API last gave it; null: there is none
let loaded = false;
let removing = false; // the secret is to be removed with the next save

const hints = {
  none: "Lets you verify that requests really come from Tenzo. Choose your own or click Generate.",
  set: "A secret is set. Leave this empty to keep it, or enter a new one to replace it.",
  typed: "Save your webhook secret securely: you will need it to verify signatures, and once saved it is not shown again.",
  removing: "The secret will be removed when you save. Requests will then carry no signature.",
};

function dirty() {
  return loaded && (url.value.trim() !== (saved?.url ?? "") || secret.value !== "" || removing || active.checked !== (saved?.active ?? false));
}

// paint shows what follows from the fields and what is saved.
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

// fill puts what is saved into the fields.
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

// load reads the webhook, unless somebody is changing it here.
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
  const wish = { url: url.value.trim(), active: active.checked };
  if (secret.value) wish.secret = secret.value;
  else if (removing) wish.secret = null;
  try {
    fill(await call("PUT", "webhook", wish));
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
        if (problem.code !== "webhook_not_found") throw problem; // somebody else was faster
      }
      fill(null);
      changed();
    },
  }));
  window.addEventListener("pagehide", () => {
    secret.value = "";
    paint();
  });
}
