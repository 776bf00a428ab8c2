// Keeps the conversation at its end, unless the user scrolls up.

import { find } from "./view.js";

const scroll = find("scroll");
let isHeld = true;

/** Tells whether the newest line is visible, or was before a line was added. */
export function isAtEnd(): boolean {
  return isHeld;
}

export function goToEnd(): void {
  isHeld = true;
  keepEnd();
}

/** Call it after adding a line. */
export function keepEnd(): void {
  if (isHeld) scroll.scrollTop = scroll.scrollHeight;
  find("to-end").hidden = isHeld;
}

/** Adds lines at the top without moving the visible ones. */
export function keepPlace(add: () => void): void {
  const height = scroll.scrollHeight;
  add();
  scroll.scrollTop += scroll.scrollHeight - height;
}

/** Calls back when the first line is near, or the user requests earlier ones. */
export function onTop(callback: () => void): void {
  const look: IntersectionObserverCallback = (entries) => {
    if (!isHeld && entries.some(({ isIntersecting }) => isIntersecting)) callback();
  };
  new IntersectionObserver(look, { root: scroll, rootMargin: "200px 0px 0px" }).observe(find("earlier"));
  find("earlier").onclick = callback;
}

scroll.onscroll = () => {
  isHeld = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  find("to-end").hidden = isHeld;
};
find("to-end").onclick = goToEnd;
// A growing composer or a notice must not push the last message out of view.
new ResizeObserver(keepEnd).observe(scroll);
