// The chat in the page: who enters, what is said, and what the server tells.

import "./theme.js";
import { focusComposer, onSay, placeComposer } from "./composer.js";
import { openDoor, remembered } from "./door.js";
import { onOtherRoom, showRooms } from "./rooms.js";
import { Socket } from "./socket.js";
import { find, inWords, Log, markUnsent, person, whoIsHere } from "./view.js";

const ROOMS = ["lobby", "ideas", "help"];
const TITLE = document.title;

/** @typedef {{ frame: { action: string, id: string, text: string }, item: HTMLElement }} Pending */

/** @type {Socket | undefined} */ let socket;
/** @type {Map<string, Log>} */ const logs = new Map();
/** Sent, and not come back yet. @type {Map<string, Pending>} */ const pending = new Map();
/** The ids of messages shown: what is sent again shows once. @type {Set<string>} */ const seen = new Set();
/** @type {import("./rooms.js").Presence[]} */ let presence = [];
let presenceAt = 0;
let you = "";
let tenant = "";
let room = sessionStorage.getItem("room") ?? "lobby";
let isOnline = false;
let wasOnline = false;
let unread = 0;

const scroll = find("scroll");

/* In and out */

/** @param {import("./door.js").GetToken} getToken */
function enter(getToken) {
  find("chat").hidden = false;
  const meta = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="lift-socket"]'));
  const address = new URL(meta.content, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new Socket({ address: address.href, getToken, onState, onFrame });
  showRoom();
}

/** @param {string} [problem] why the server let nobody in */
function goOut(problem) {
  socket?.close();
  for (const log of logs.values()) log.list.remove();
  logs.clear();
  pending.clear();
  presence = [];
  wasOnline = false;
  find("chat").hidden = true;
  document.title = TITLE;
  openDoor(enter, problem);
}

/* What the connection tells */

/** @param {import("./socket.js").State} state */
function onState(state) {
  if (state.kind === "refused") return goOut(state.why);
  isOnline = state.kind === "online";
  const trying = wasOnline ? "Reconnecting" : "Connecting";
  const words = {
    connecting: trying,
    waiting: trying,
    online: "Online",
    closed: "Closed",
  };
  find("status").dataset.kind = state.kind;
  find("status-text").textContent = words[state.kind];
  find("retry").hidden = state.kind !== "waiting";
  countDown(state.kind === "waiting" ? state.until : undefined);
  const isFirst = isOnline && !wasOnline;
  if (isOnline) {
    wasOnline = true;
    presenceAt = 0;
    socket?.send({ action: "join", room });
  } else {
    lose();
  }
  showRoom();
  if (isFirst) focusComposer();
}

/** @type {ReturnType<typeof setInterval> | undefined} */
let countdown;

/** @param {number | undefined} until */
function countDown(until) {
  clearInterval(countdown);
  const show = () => {
    find("status-wait").textContent = until === undefined ? "" : `in ${inWords(until - Date.now())}`;
  };
  show();
  if (until !== undefined) countdown = setInterval(show, 500);
}

/** The line is gone: what was under way may or may not have arrived. */
function lose() {
  logOf(room).awaySince ??= Date.now();
  for (const entry of pending.values()) mayBeLost(entry);
}

/* What the server tells */

/** @param {any} frame */
function onFrame(frame) {
  switch (frame.type) {
    case "joined":
      return joined(frame);
    case "presence":
      return present(frame);
    case "message":
      return said(frame, logOf(frame.room));
    case "announcement":
      return said({ ...frame, to: tenant }, logOf(room));
    case "pong":
      return;
    default:
      complain(frame);
  }
}

/** @param {{ room: string, you: string, tenant?: string }} frame */
function joined(frame) {
  you = frame.you;
  tenant = frame.tenant ?? "no team";
  find("team").textContent = tenant;
  find("self").replaceChildren(...person(you));
  find("notice").hidden = true;
  if (frame.room !== room) return;
  logOf(room).closeGap();
  logOf(room).people = undefined;
  showRoom();
}

/** @param {{ at: number, rooms: import("./rooms.js").Presence[] }} frame */
function present(frame) {
  // Two of these may overtake each other: the older one is no news.
  if (frame.at < presenceAt) return;
  presenceAt = frame.at;
  presence = frame.rooms;
  const log = logOf(room);
  const stays = isAtEnd();
  const people = new Set(presence.find((one) => one.room === room)?.people);
  for (const name of people) if (log.people?.has(name) === false) log.note(`${name} came in`);
  for (const name of log.people ?? []) if (!people.has(name)) log.note(`${name} left`);
  log.people = people.has(you) ? people : undefined;
  showRoom();
  toEnd(stays);
}

/** @param {{ id: string, from: string, text: string, at: number, to?: string }} frame @param {Log} log */
function said(frame, log) {
  pending.get(frame.id)?.item.classList.remove("pending");
  pending.delete(frame.id);
  if (seen.has(frame.id)) return;
  seen.add(frame.id);
  const own = frame.from === you;
  const stays = own || isAtEnd();
  log.message({ ...frame, own });
  if (document.hidden) unread++;
  showRoom();
  toEnd(stays);
}

/** Error frames: ours, and the few that API Gateway sends by itself. @param {any} frame */
function complain(frame) {
  const words = frame.error?.details?.[0]?.message ?? frame.error?.message ?? frame.message;
  if (typeof words !== "string") return;
  find("notice").textContent = `The server says: ${words}`;
  find("notice").hidden = false;
  for (const [id, entry] of pending) {
    // What API Gateway says by itself names no message: it may be any of them.
    if (frame.request_id === undefined || frame.request_id === id) mayBeLost(entry);
  }
}

/* Saying something */

/** @param {string} text @param {boolean} toEveryone */
function say(text, toEveryone) {
  const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  );
  const frame = { action: toEveryone ? "announce" : "say", id: id.join(""), text };
  const message = { id: frame.id, from: you, text, at: Date.now(), own: true };
  const item = logOf(room).message(toEveryone ? { ...message, to: tenant } : message);
  seen.add(frame.id);
  find("notice").hidden = true;
  transmit({ frame, item });
  showRoom();
  toEnd(true);
}

/** @param {Pending} entry */
function transmit(entry) {
  entry.item.classList.add("pending");
  pending.set(entry.frame.id, entry);
  if (socket?.send(entry.frame) !== true) mayBeLost(entry);
}

/** @param {Pending} entry */
function mayBeLost(entry) {
  pending.delete(entry.frame.id);
  markUnsent(entry.item, () => transmit(entry));
}

/** @param {string} name */
function goTo(name) {
  if (name !== room) {
    logOf(room).awaySince ??= Date.now();
    room = name;
    sessionStorage.setItem("room", room);
    socket?.send({ action: "join", room });
    showRoom();
    toEnd(true);
  }
  focusComposer();
}

/* What is seen */

/** @param {string} name */
function logOf(name) {
  const log = logs.get(name) ?? new Log();
  logs.set(name, log);
  return log;
}

function showRoom() {
  const log = logOf(room);
  for (const one of logs.values()) one.list.hidden = one !== log;
  const here = presence.find((one) => one.room === room);
  const others = here?.people.filter((name) => name !== you) ?? [];
  const isIn = here !== undefined && others.length < here.people.length;
  find("room-title").textContent = `# ${room}`;
  find("people").textContent = isIn ? whoIsHere(others, here.count) : "";
  find("empty").hidden = !isOnline || !log.isEmpty;
  document.title = `${unread > 0 ? `(${unread}) ` : ""}#${room} · ${TITLE}`;
  const known = presence.map((one) => one.room).sort();
  showRooms([...new Set([...ROOMS, ...known, ...logs.keys()])], { current: room, you, presence, goTo });
  placeComposer({ room, tenant, isOnline, isLetIn: wasOnline });
}

/** After something was added. @param {boolean} stays whether the end was in view before, and is to stay so */
function toEnd(stays) {
  if (stays) scroll.scrollTop = scroll.scrollHeight;
  find("to-end").hidden = stays || isAtEnd();
}

function isAtEnd() {
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
}

/* What the person does */

onSay(say);
onOtherRoom(goTo);
find("go-out").onclick = () => goOut();
find("retry").onclick = () => socket?.retry();
find("to-end").onclick = () => toEnd(true);
let wasAtEnd = true;
scroll.onscroll = () => {
  wasAtEnd = isAtEnd();
  if (wasAtEnd) find("to-end").hidden = true;
};
// A composer that grows, or a notice above it, must not push the last message out of sight.
new ResizeObserver(() => toEnd(wasAtEnd)).observe(scroll);
document.onvisibilitychange = () => {
  if (document.hidden) return;
  unread = 0;
  if (!find("chat").hidden) showRoom();
};

const getToken = remembered();
if (getToken === undefined) goOut();
else enter(getToken);
