// Helpers for the page's elements. Text of users becomes text nodes, never markup.

const listFormat = new Intl.ListFormat("en-GB");

/** The server refused the connection or the token. */
export class Refused extends Error {}

/**
 * @param {string} tag
 * @param {string} className
 * @param {(Node | string)[]} children
 */
export function element(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className !== "") node.className = className;
  node.append(...children);
  return node;
}

/** The element with this id. @param {string} id */
export function find(id) {
  const node = document.getElementById(id);
  if (node === null) throw new Error(`The page has no #${id}`);
  return node;
}

/** A person's colour, one of twelve: the same in every window. @param {string} name */
function hue(name) {
  // FNV-1a, so that names that differ in one letter get different colours.
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return String(((hash >>> 15) % 12) * 30 + 10);
}

/** @template {HTMLElement} T @param {T} node @param {string} name */
export function colour(node, name) {
  node.style.setProperty("--hue", hue(name));
  return node;
}

/** @param {string} name */
export function person(name, label = name) {
  const face = colour(element("span", "face", [...name][0]?.toUpperCase() ?? "?"), name);
  face.ariaHidden = "true";
  return [face, element("span", "who", label)];
}

/** `You, Ada and 3 others` @param {readonly string[]} others @param {number} count all of them, you included */
export function describeMembers(others, count) {
  if (count <= 1) return "Only you are here";
  const named = others.slice(0, 4);
  const more = count - 1 - named.length;
  return listFormat.format([
    "You",
    ...named,
    ...(more > 0 ? [more === 1 ? "1 other" : `${more} others`] : []),
  ]);
}

/** @param {number} ms */
export function inWords(ms) {
  const seconds = Math.max(1, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
