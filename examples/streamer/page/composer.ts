// Where one writes. What it takes is never more than the room takes.

import { find } from "./view.js";

/** Of the text as JSON; an id stands beside it. */
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

/** Nobody writes in a room that may never let them in. */
export function allowWriting(isAllowed: boolean): void {
  const isNew = text.disabled && isAllowed;
  text.disabled = !isAllowed;
  if (isNew && matchMedia("(hover: hover)").matches) text.focus();
}

export function focusComposer(room: string): void {
  text.placeholder = `Message #${room}`;
  // A phone's keyboard would cover what one came to read.
  if (matchMedia("(hover: hover)").matches) text.focus();
}

text.onkeydown = (event) => {
  // While an input method composes, Enter is its own.
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
