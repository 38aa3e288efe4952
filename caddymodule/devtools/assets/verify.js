// This file shows code that verifies signatures, ready to copy.

import { $, h } from "./dom.js";
import { samples } from "./samples.js";
import { copied, copy, toast } from "./toast.js";

export function startVerify() {
  const names = Object.keys(samples);
  const code = h("code", { translate: false });
  const panel = h("pre", { id: "code-panel", role: "tabpanel", tabIndex: 0 }, code);
  const tabs = names.map((name) => h("button", {
    type: "button", class: "code-tab", id: `code-${name}`, role: "tab", "aria-controls": "code-panel", onclick: () => select(name),
  }, name));

  function select(name) {
    code.textContent = samples[name];
    panel.setAttribute("aria-labelledby", `code-${name}`);
    for (const tab of tabs) {
      const chosen = tab.id === `code-${name}`;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
  }

  const list = h("div", { role: "tablist", "aria-label": "Language", class: "code-tabs" }, ...tabs);
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (tabs.indexOf(document.activeElement) + step + names.length) % names.length;
    select(names[next]);
    tabs[next].focus();
  });

  const copyButton = h("button", { type: "button", class: "button" }, "Copy code");
  copyButton.prepend($("generated-copy").querySelector(".icon").cloneNode(true));
  copyButton.addEventListener("click", async () => {
    if (await copy(code.textContent, code)) {
      copied(copyButton);
      toast("Code copied.");
    } else {
      toast("Your browser does not allow copying here. Select the code and copy it yourself.", "bad");
    }
  });

  select(names[0]);
  $("verify").replaceChildren(h("div", { class: "code-head" }, list, copyButton), panel);
}
