// The text field. It accepts no more than the room's limit.

import { find } from "./view.js";

/** The limit of the text as JSON, less than the namespace's limit because of the id. */
const MAX_BYTES = 4_000;

const text = find("text") as HTMLTextAreaElement;
const send = find("composer").querySelector("[type=submit]") as HTMLButtonElement;

export function onSay({ say, typing }: { say(text: string): void; typing(): void }): void {
  find("composer").onsubmit = (event) => {
    event.preventDefault();
    const value = text.value.trim();
    if (value === "" || bytesLeft() < 0) return;
    text.value = "";
    show();
    say(value);
    text.focus();
  };
  text.oninput = () => {
    show();
    if (text.value.trim() !== "") typing();
  };
}

/** Disables writing until the server has accepted the user. */
export function allowWriting(isAllowed: boolean): void {
  const isNew = text.disabled && isAllowed;
  text.disabled = !isAllowed;
  if (isNew && matchMedia("(hover: hover)").matches) text.focus();
}

export function focusComposer(room: string): void {
  text.placeholder = `Message #${room}`;
  // On a phone the keyboard would cover the conversation.
  if (matchMedia("(hover: hover)").matches) text.focus();
}

text.onkeydown = (event) => {
  // During input method composition, Enter belongs to the input method.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send.click();
};

function bytesLeft(): number {
  return MAX_BYTES - new TextEncoder().encode(JSON.stringify(text.value.trim())).length;
}

function show(): void {
  const left = bytesLeft();
  find("bytes").hidden = left > MAX_BYTES / 10;
  find("bytes").classList.toggle("over", left < 0);
  find("bytes").textContent = String(left);
  send.disabled = left < 0 || text.value.trim() === "";
}

show();
