// The text field. It accepts no more than the server's limit.

import { find } from "./view.js";

const MAX_TEXT_BYTES = 4096;

const text = /** @type {HTMLTextAreaElement} */ (find("text"));
const send = /** @type {HTMLButtonElement} */ (find("composer").querySelector("[type=submit]"));
let toEveryone = false;
let place = { room: "", tenant: "", isOnline: false, isLetIn: false };

/** @param {(text: string, toEveryone: boolean) => void} say */
export function onSay(say) {
  find("composer").onsubmit = (event) => {
    event.preventDefault();
    const value = text.value.trim();
    if (value === "" || byteLength(value) > MAX_TEXT_BYTES || !place.isOnline) return;
    say(value, toEveryone);
    text.value = "";
    toEveryone = false;
    show();
    text.focus();
  };
}

/** Tells where what is written would go. @param {typeof place} now */
export function placeComposer(now) {
  place = now;
  show();
}

export function focusComposer() {
  text.focus();
}

function show() {
  const bytes = byteLength(text.value.trim());
  const isOver = bytes > MAX_TEXT_BYTES;
  find("composer").classList.toggle("to-all", toEveryone);
  find("everyone").ariaPressed = String(toEveryone);
  text.placeholder = toEveryone ? `Announce to everyone in ${place.tenant}` : `Message #${place.room}`;
  find("bytes").hidden = bytes < MAX_TEXT_BYTES * 0.9;
  find("bytes").classList.toggle("over", isOver);
  find("bytes").textContent = String(MAX_TEXT_BYTES - bytes);
  // Disables writing until the server has accepted the user.
  text.disabled = !place.isLetIn;
  send.disabled = !place.isOnline || isOver || bytes === 0;
}

/** @param {string} value */
function byteLength(value) {
  return new TextEncoder().encode(value).length;
}

text.oninput = show;
text.onkeydown = (/** @type {KeyboardEvent} */ event) => {
  if (event.key === "Escape" && toEveryone) find("everyone").click();
  // During input method composition, Enter belongs to the input method.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send.click();
};
find("everyone").onclick = () => {
  toEveryone = !toEveryone;
  show();
  text.focus();
};
