// Code that verifies signatures, ready to copy. A test runs each sample.

import { $, h } from "./dom.js";
import { copied, copy, toast } from "./ui.js";

export const samples = {
  Python: `import hashlib
import hmac


def verify_signature(payload: bytes, signature: str, secret: str) -> bool:
    """payload: the exact bytes of the body.
    signature: the header X-Webhook-Signature."""
    expected = hmac.new(secret.encode("utf-8"), payload, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)
`,
  Node: `import { createHmac, timingSafeEqual } from "node:crypto";

// payload: the exact bytes of the body, a Buffer (with Express: express.raw).
// signature: the header X-Webhook-Signature.
export function verifySignature(payload, signature, secret) {
  const expected = createHmac("sha256", secret).update(payload).digest();
  const given = Buffer.from(signature ?? "", "hex");
  return given.length === expected.length && timingSafeEqual(given, expected);
}
`,
  Go: `package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// VerifySignature takes the exact bytes of the body and the header X-Webhook-Signature.
func VerifySignature(payload []byte, signature, secret string) bool {
	given, err := hex.DecodeString(signature)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(payload)
	return hmac.Equal(given, mac.Sum(nil))
}
`,
};

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
