// Shows users and messages. Text of users becomes text nodes, never markup.

const GROUP_WITHIN_MS = 5 * 60_000;
const KEPT = 300;

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const listFormat = new Intl.ListFormat("en-GB");

/**
 * @typedef {object} Said
 * @property {string} id
 * @property {string} from
 * @property {string} text
 * @property {number} at ms since the epoch
 * @property {boolean} own
 * @property {string} [to] the team, of an announcement
 */

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
function colour(node, name) {
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

/** The messages of one room that this page has received. */
export class Log {
  /** The time since which this page has been disconnected from the room. @type {number | undefined} */
  awaySince;
  /** The members at the last presence frame. @type {ReadonlySet<string> | undefined} */
  people;
  list = element("ol", "log");
  /** @type {{ from: string, at: number } | undefined} */ #last;

  constructor() {
    this.list.role = "log";
    this.list.hidden = true;
    find("logs").append(this.list);
  }

  get isEmpty() {
    return this.list.childElementCount === 0;
  }

  /** @param {string} text */
  note(text, kind = "note") {
    this.#add(element("li", kind, element("span", "", text)));
    this.#last = undefined;
  }

  /** Shows a note if messages may have been missed. */
  closeGap() {
    if (this.awaySince !== undefined && !this.isEmpty) {
      const away = inWords(Date.now() - this.awaySince);
      this.note(`Back after ${away}. Messages sent meanwhile are not stored.`, "note gap");
    }
    this.awaySince = undefined;
  }

  /** @param {Said} said */
  message({ from, text, at, own, to }) {
    const time = /** @type {HTMLTimeElement} */ (element("time", "", clockFormat.format(at)));
    time.dateTime = new Date(at).toISOString();
    const name = colour(element("b", "", from), from);
    const by = to === undefined ? [name, time] : [name, `to everyone in ${to}`, time];
    const item = element("li", "message", element("div", "by", ...by), element("p", "text", text));
    if (to !== undefined) item.className = "news";
    else if (own) item.classList.add("own");
    const follows = to === undefined && this.#last?.from === from && at - this.#last.at < GROUP_WITHIN_MS;
    item.classList.toggle("follows", follows);
    this.#add(item);
    this.#last = to === undefined ? { from, at } : undefined;
    return item;
  }

  /** @param {HTMLElement} item */
  #add(item) {
    this.list.append(item);
    while (this.list.childElementCount > KEPT) this.list.firstElementChild?.remove();
  }
}

/** Marks a message of one's own that may not have arrived. @param {HTMLElement} item @param {() => void} again */
export function markUnsent(item, again) {
  item.classList.remove("pending");
  const button = element("button", "link", "Send again");
  const line = element("div", "unsent", "Not sent", button);
  button.onclick = () => {
    line.remove();
    again();
  };
  item.append(line);
}
