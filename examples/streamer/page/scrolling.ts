// The conversation is read at its end, and stays there, unless one scrolls up.

import { find } from "./view.js";

const scroll = find("scroll");
let isHeld = true;

/** Whether the newest line is in view, or was before something was added. */
export function isAtEnd(): boolean {
  return isHeld;
}

export function goToEnd(): void {
  isHeld = true;
  keepEnd();
}

/** After something was added. */
export function keepEnd(): void {
  if (isHeld) scroll.scrollTop = scroll.scrollHeight;
  find("to-end").hidden = isHeld;
}

/** What is in view stays where it is though something is added before it. */
export function keepPlace(add: () => void): void {
  const height = scroll.scrollHeight;
  add();
  scroll.scrollTop += scroll.scrollHeight - height;
}

/** Calls when the first line is near, or the person asks for those before it. */
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
// A composer that grows, or a notice above it, must not push the last message out of sight.
new ResizeObserver(keepEnd).observe(scroll);
