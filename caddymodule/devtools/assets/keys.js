// This file is the page API Keys: the list, and revocation.

import { call } from "./api.js";
import { confirm } from "./dialog.js";
import { $, badge, h, number, when } from "./dom.js";
import { startGenerate } from "./generate.js";
import { makeList } from "./list.js";
import { empty } from "./states.js";

const soon = 7 * 24 * 3600 * 1000; // ms before its expiry from which a key is shown as expiring soon

// stateOf returns the current state of a key.
function stateOf(key) {
  if (key.status !== "active") return key.status;
  if (!key.expires_at) return "active";
  const left = new Date(key.expires_at) - Date.now();
  if (left <= 0) return "expired";
  return left <= soon ? "soon" : "active";
}

const states = {
  active: ["good", "Active"],
  soon: ["warn", "Expires soon"],
  expired: ["bad", "Expired"],
  revoked: ["off", "Revoked"],
};

const columns = [
  {
    title: "Key name",
    class: "main-cell",
    from: (k) => [k.name, k.hint],
    cell: (k) => [h("span", { class: "name" }, k.name), h("code", { class: "sub", translate: false }, k.hint)],
  },
  { title: "Created", zoned: true, from: (k) => k.created_at, cell: (k) => (k.created_at ? when(k.created_at) : "Unknown") },
  {
    title: "Last used",
    from: (k) => k.last_used_at,
    cell: (k) => (k.last_used_at ? when(k.last_used_at) : h("span", { class: "quiet" }, "Never")),
  },
  { title: "Total usage count", class: "number", from: (k) => k.usage_count, cell: (k) => number.format(k.usage_count) },
  {
    title: "Status",
    from: (k) => [stateOf(k), k.expires_at, k.revoked_at],
    cell: (k) => {
      const state = stateOf(k);
      const parts = [badge(...states[state])];
      if (state === "revoked") {
        if (k.revoked_at && new Date(k.revoked_at).getTime() > 0) parts.push(h("span", { class: "sub" }, "on ", when(k.revoked_at)));
      } else if (k.expires_at) {
        parts.push(h("span", { class: "sub" }, state === "expired" ? "on " : "until ", when(k.expires_at)));
      }
      return parts;
    },
  },
  {
    title: "Actions",
    unseen: true,
    class: "act",
    from: (k) => [k.id, k.name, k.status === "revoked"],
    cell: (k, row) => {
      if (k.status === "revoked") return "";
      const name = row.querySelector(".name");
      name.id = `key-${k.id}`;
      return h("button", { type: "button", class: "button danger quiet", "aria-describedby": name.id, onclick: () => revoke(k) }, "Revoke");
    },
  },
];

// matches reports whether a word, in lower case, is in the name or the status of a key, ends its
// hint, or is its id. A part of an id is random text, and would match by chance.
function matches(key, word) {
  const [name, status, hint, id] = [key.name, states[stateOf(key)][1], key.hint, key.id].map((s) => s.toLowerCase());
  return word === "" || name.includes(word) || status.includes(word) || hint.endsWith(word) || id === word;
}

let list;

function revoke(key) {
  confirm({
    title: `Revoke “${key.name}”?`,
    text: "This is final: a revoked key cannot be reactivated, you will need to generate a new one. Requests that use it will be refused. Revocation may take up to 60 seconds to fully propagate.",
    ok: "Revoke key",
    doing: "Revoking…",
    done: `Key “${key.name}” revoked. It may take up to 60 seconds to stop working everywhere.`,
    after: $("keys-title"),
    action: async () => {
      await call("DELETE", `keys/${encodeURIComponent(key.id)}`);
      await list.refresh();
    },
  });
}

export function startKeys() {
  list = makeList({
    box: $("keys"),
    path: "keys",
    caption: "API keys of your organization, newest first",
    columns,
    id: (k) => k.id,
    nothing: empty("key", "No API keys yet", "Click Generate New Key to create your first one. You will see its usage here."),
    search: { label: "Search API keys", from: 20, matches, none: "No API key matches." },
  });
  startGenerate(list.refresh);
  return list.refresh;
}
