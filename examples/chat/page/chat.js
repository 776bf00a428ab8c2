// The chat page: sign-in, messages, and server events.

import "./theme.js";
import { focusComposer, onSay, placeComposer } from "./composer.js";
import { onOtherRoom, showRooms } from "./rooms.js";
import { restoreSignIn, showSignIn } from "./sign-in.js";
import { Socket } from "./socket.js";
import { describeMembers, find, inWords, Log, markUnsent, person } from "./view.js";

const ROOMS = ["lobby", "ideas", "help"];
const TITLE = document.title;

/** @typedef {{ frame: { action: string, id: string, text: string }, item: HTMLElement }} Pending */

/** @type {Socket | undefined} */ let socket;
/** @type {Map<string, Log>} */ const logs = new Map();
/** Sent messages that have not come back yet. @type {Map<string, Pending>} */ const pending = new Map();
/** The ids of shown messages, so that a resent one shows once. @type {Set<string>} */ const shownIds =
  new Set();
/** @type {import("./rooms.js").Presence[]} */ let presence = [];
let presenceAt = 0;
let you = "";
let tenant = "";
let room = sessionStorage.getItem("room") ?? "lobby";
let isOnline = false;
let wasOnline = false;
let unread = 0;

const scroll = find("scroll");

/* Sign in and out */

/** @param {import("./sign-in.js").GetToken} getToken */
function signIn(getToken) {
  find("chat").hidden = false;
  const meta = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="lift-socket"]'));
  const address = new URL(meta.content, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new Socket({ address: address.href, getToken, onState, onFrame });
  showRoom();
}

/** @param {string} [problem] why the server let nobody in */
function signOut(problem) {
  socket?.close();
  for (const log of logs.values()) log.list.remove();
  logs.clear();
  pending.clear();
  presence = [];
  wasOnline = false;
  find("chat").hidden = true;
  document.title = TITLE;
  showSignIn(signIn, problem);
}

/* Connection */

/** @param {import("./socket.js").State} state */
function onState(state) {
  if (state.kind === "refused") return signOut(state.why);
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
  showCountdown(state.kind === "waiting" ? state.until : undefined);
  const isFirst = isOnline && !wasOnline;
  if (isOnline) {
    wasOnline = true;
    presenceAt = 0;
    socket?.send({ action: "join", room });
  } else {
    markConnectionLost();
  }
  showRoom();
  if (isFirst) focusComposer();
}

/** @type {ReturnType<typeof setInterval> | undefined} */
let countdown;

/** @param {number | undefined} until */
function showCountdown(until) {
  clearInterval(countdown);
  const show = () => {
    find("status-wait").textContent = until === undefined ? "" : `in ${inWords(until - Date.now())}`;
  };
  show();
  if (until !== undefined) countdown = setInterval(show, 500);
}

/** Handles a lost connection: messages in flight may or may not have arrived. */
function markConnectionLost() {
  logOf(room).awaySince ??= Date.now();
  for (const entry of pending.values()) offerResend(entry);
}

/* Server events */

/** @param {any} frame */
function onFrame(frame) {
  switch (frame.type) {
    case "joined":
      return onJoined(frame);
    case "presence":
      return onPresence(frame);
    case "message":
      return onMessage(frame, logOf(frame.room));
    case "announcement":
      return onMessage({ ...frame, to: tenant }, logOf(room));
    case "pong":
      return;
    default:
      showError(frame);
  }
}

/** @param {{ room: string, you: string, tenant?: string }} frame */
function onJoined(frame) {
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
function onPresence(frame) {
  // Presence frames can arrive in the wrong order: ignore the older one.
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
  scrollToEnd(stays);
}

/** @param {{ id: string, from: string, text: string, at: number, to?: string }} frame @param {Log} log */
function onMessage(frame, log) {
  pending.get(frame.id)?.item.classList.remove("pending");
  pending.delete(frame.id);
  if (shownIds.has(frame.id)) return;
  shownIds.add(frame.id);
  const own = frame.from === you;
  const stays = own || isAtEnd();
  log.message({ ...frame, own });
  if (document.hidden) unread++;
  showRoom();
  scrollToEnd(stays);
}

/** Error frames: ours, and the few that API Gateway sends by itself. @param {any} frame */
function showError(frame) {
  const words = frame.error?.details?.[0]?.message ?? frame.error?.message ?? frame.message;
  if (typeof words !== "string") return;
  find("notice").textContent = `The server says: ${words}`;
  find("notice").hidden = false;
  for (const [id, entry] of pending) {
    // API Gateway's own error frames name no message, so any may have failed.
    if (frame.request_id === undefined || frame.request_id === id) offerResend(entry);
  }
}

/* Sending */

/** @param {string} text @param {boolean} toEveryone */
function say(text, toEveryone) {
  const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  );
  const frame = { action: toEveryone ? "announce" : "say", id: id.join(""), text };
  const message = { id: frame.id, from: you, text, at: Date.now(), own: true };
  const item = logOf(room).message(toEveryone ? { ...message, to: tenant } : message);
  shownIds.add(frame.id);
  find("notice").hidden = true;
  transmit({ frame, item });
  showRoom();
  scrollToEnd(true);
}

/** @param {Pending} entry */
function transmit(entry) {
  entry.item.classList.add("pending");
  pending.set(entry.frame.id, entry);
  if (socket?.send(entry.frame) !== true) offerResend(entry);
}

/** @param {Pending} entry */
function offerResend(entry) {
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
    scrollToEnd(true);
  }
  focusComposer();
}

/* Display */

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
  find("people").textContent = isIn ? describeMembers(others, here.count) : "";
  find("empty").hidden = !isOnline || !log.isEmpty;
  document.title = `${unread > 0 ? `(${unread}) ` : ""}#${room} · ${TITLE}`;
  const known = presence.map((one) => one.room).sort();
  showRooms([...new Set([...ROOMS, ...known, ...logs.keys()])], { current: room, you, presence, goTo });
  placeComposer({ room, tenant, isOnline, isLetIn: wasOnline });
}

/** Call it after adding a line. @param {boolean} stays whether the end was in view before, and is to stay so */
function scrollToEnd(stays) {
  if (stays) scroll.scrollTop = scroll.scrollHeight;
  find("to-end").hidden = stays || isAtEnd();
}

function isAtEnd() {
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
}

/* User actions */

onSay(say);
onOtherRoom(goTo);
find("go-out").onclick = () => signOut();
find("retry").onclick = () => socket?.retry();
find("to-end").onclick = () => scrollToEnd(true);
let wasAtEnd = true;
scroll.onscroll = () => {
  wasAtEnd = isAtEnd();
  if (wasAtEnd) find("to-end").hidden = true;
};
// A growing composer or a notice must not push the last message out of view.
new ResizeObserver(() => scrollToEnd(wasAtEnd)).observe(scroll);
document.onvisibilitychange = () => {
  if (document.hidden) return;
  unread = 0;
  if (!find("chat").hidden) showRoom();
};

const getToken = restoreSignIn();
if (getToken === undefined) signOut();
else signIn(getToken);
