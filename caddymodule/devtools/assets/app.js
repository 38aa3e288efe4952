// This file shows one of the two pages of Developer Tools and refreshes it.

import { held, startDialogs } from "./dialog.js";
import { $, show } from "./dom.js";
import { refreshEvents, startEvents, warnInactive } from "./events.js";
import { startHints } from "./hint.js";
import { startKeys } from "./keys.js";
import { startVerify } from "./verify.js";
import { load as loadWebhook, startWebhook } from "./webhook.js";

const every = 5000; // ms between refreshes while the page is visible

startHints();
startDialogs();
startVerify();
startEvents();
startWebhook(refreshEvents);
const refreshKeys = startKeys();

const views = {
  "api-keys": { title: "API Keys", enter: refreshKeys, refresh: refreshKeys },
  webhooks: { title: "Webhooks", enter: () => Promise.all([loadWebhook().then(warnInactive), refreshEvents()]), refresh: refreshEvents },
};

let current = "";

function route() {
  const wanted = location.hash.slice(1);
  const name = Object.hasOwn(views, wanted) ? wanted : "api-keys";
  if (name !== current) enter(name);
}

function enter(name) {
  current = name;
  for (const view of Object.keys(views)) show($(`view-${view}`), view === name);
  for (const tab of document.querySelectorAll("nav .tab")) {
    if (tab.dataset.view === name) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  document.title = `${views[name].title} · Developer Tools`;
  for (const dialog of document.querySelectorAll("dialog[open]")) {
    if (!held(dialog)) dialog.close();
  }
  views[name].enter();
}

function refresh() {
  if (document.visibilityState === "visible") views[current].refresh();
}

window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", refresh);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});
route();
setInterval(refresh, every);
