// This file shows the exact UTC of a time: one element for the whole page, for every element with
// the attribute data-utc, on hover, keyboard focus and tap. Escape closes it.

import { $, setText } from "./dom.js";

const box = $("hint");
let owner = null;

function open(button) {
  if (owner === button) return;
  close();
  owner = button;
  setText(box, button.dataset.utc);
  (button.closest("dialog") || $("main")).append(box);
  box.hidden = false;
  button.setAttribute("aria-describedby", "hint");
  const at = button.getBoundingClientRect();
  const size = box.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left), document.documentElement.clientWidth - size.width - 8);
  const above = at.top - size.height - 6;
  box.style.left = `${left}px`;
  box.style.top = `${above > 8 ? above : at.bottom + 6}px`;
}

function close() {
  if (!owner) return;
  owner.removeAttribute("aria-describedby");
  owner = null;
  box.hidden = true;
}

const target = (event) => (event.target instanceof Element ? event.target.closest("[data-utc]") : null);

export function startHints() {
  for (const type of ["pointerover", "focusin", "click"]) {
    document.addEventListener(type, (event) => {
      const button = target(event);
      if (button) open(button);
      else if (type === "click") close();
    });
  }
  document.addEventListener("pointerout", (event) => {
    if (target(event) && target(event) !== document.activeElement && event.pointerType === "mouse") close();
  });
  document.addEventListener("focusout", close);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && owner) {
      event.preventDefault();
      close();
    }
  });
  window.addEventListener("scroll", close, { passive: true, capture: true });
}

// forgetHint closes the hint if its owner has been removed from the page.
export function forgetHint() {
  if (owner && !owner.isConnected) close();
}
