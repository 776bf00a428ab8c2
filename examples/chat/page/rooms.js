// The list of rooms with their members.

import { element, find, person } from "./view.js";

/** @typedef {{ room: string, people: string[], count: number }} Presence `people` may be fewer than `count` */

/**
 * @param {string[]} names the rooms, in order
 * @param {{ current: string, you: string, presence: readonly Presence[], goTo: (room: string) => void }} options
 */
export function showRooms(names, { current, you, presence, goTo }) {
  const list = find("rooms");
  const focused = list.contains(document.activeElement)
    ? document.activeElement?.getAttribute("data-room")
    : undefined;
  const items = names.map((name) => {
    const there = presence.find((one) => one.room === name);
    const button = element("button", "", element("span", "name", name));
    button.dataset.room = name;
    button.onclick = () => goTo(name);
    if (name === current) button.ariaCurrent = "true";
    if (there === undefined) return element("li", "", button);
    button.append(element("span", "count", String(there.count)));
    return element("li", "", button, peopleIn(there, you));
  });
  list.replaceChildren(...items);
  // Keeps the keyboard focus in the list.
  for (const button of list.querySelectorAll("button")) if (button.dataset.room === focused) button.focus();
}

/** @param {Presence} there @param {string} you */
function peopleIn({ people, count }, you) {
  const items = people.map((name) =>
    element("li", "", ...person(name, name === you ? `${name} (you)` : name)),
  );
  if (count > people.length) items.push(element("li", "quiet", `and ${count - people.length} more`));
  return element("ul", "there", ...items);
}

/** Asked for by name. @param {(room: string) => void} goTo */
export function onOtherRoom(goTo) {
  find("other-room").onsubmit = (event) => {
    event.preventDefault();
    const input = /** @type {HTMLInputElement} */ (find("room-name"));
    const name = input.value.replace(/^#+/, "").trim();
    input.value = "";
    if (name !== "") goTo(name);
  };
}
