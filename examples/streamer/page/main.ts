// The page: sign-in, rooms, and the network's state.

import "./theme.js";
import { type Client, createClient, outbox, presence, requests, streams } from "lift-ws/client";
import { allowWriting, focusComposer, onSay } from "./composer.ts";
import { Connection } from "./connection.ts";
import { Network } from "./network.ts";
import { outboxStorage, ownOutbox } from "./outbox.ts";
import { Room, type Shown } from "./room.ts";
import { goToEnd, isAtEnd, keepEnd, keepPlace, onTop } from "./scrolling.ts";
import { claimsOf, type GetToken, keepProblem, restoreSignIn, showSignIn } from "./sign-in.js";
import { Stage } from "./stage.ts";
import { describeMembers, element, find, person } from "./view.js";
import { Work } from "./work.ts";

const ROOMS = ["lobby", "ideas", "help"];
const TITLE = document.title;
const network = new Network();
const rooms = new Map<string, Room>();
let client: Client;
let stage: Stage;
let work: Work;
let room: Room;
let you = "";

/* Sign in and out */

/** @param isKnown whether the server has let this person in before */
async function signIn(getToken: GetToken, isKnown: boolean): Promise<void> {
  let ready = await getToken().catch(() => undefined);
  // Without a token the server is unreachable. The tab knows the user from an earlier sign-in.
  const { sub, tenant_id: tenant } =
    ready === undefined
      ? { sub: sessionStorage.getItem("name"), tenant_id: sessionStorage.getItem("tenant") }
      : claimsOf(ready);
  ownOutbox([sub ?? null, tenant ?? null]);
  allowWriting(isKnown);
  you = sub ?? "you";
  find("team").textContent = tenant ?? "Streamer";
  find("self").replaceChildren(...person(you));
  find("app").hidden = false;
  const meta = document.querySelector<HTMLMetaElement>('meta[name="lift-socket"]')!;
  const address = new URL(meta.content, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  client = createClient({
    url: address.href,
    getToken: async () => {
      const token = ready ?? (await getToken());
      ready = undefined;
      return token;
    },
    WebSocket: network.WebSocket,
    reconnectMaxMs: 8_000,
    heartbeatMs: 20_000,
    use: [presence(), streams(), requests(), outbox(outboxStorage((lines) => connection.waiting(lines)))],
  });
  const connection = new Connection(client, network, {
    onDisconnect: () => {
      for (const one of rooms.values()) one.leave();
      stage.onDisconnect();
      show();
    },
    onReconnect: () => {
      allowWriting(true);
      void work.load();
      stage.onReconnect();
      show();
    },
    refused: (why) => {
      keepProblem(why);
      location.reload();
    },
  });
  client.onError((error) => {
    if (error.code !== "CONNECT_FAILED" && error.code !== "TOKEN_FAILED") showError(error.message);
  });
  const others: string[] = JSON.parse(sessionStorage.getItem("rooms") ?? "[]");
  for (const name of [...ROOMS, ...others]) roomOf(name);
  const first = sessionStorage.getItem("room") ?? "lobby";
  stage = new Stage(client, you, roomOf, roomOf(first), {
    changed: () => show(),
    refused: ({ message }) => showError(message),
  });
  work = new Work(client, you, find("work-starts"), find("work"));
  goTo(first);
  client.connect();
}

/** Removes all data of the user, also from memory. */
function signOut(): void {
  sessionStorage.clear();
  location.reload();
}

function showError(words: string): void {
  find("notice").textContent = words;
  find("notice").hidden = false;
}

/* Rooms */

function roomOf(name: string): Room {
  const known = rooms.get(name) ?? new Room(client, name, you, onRoom);
  rooms.set(name, known);
  return known;
}

function goTo(name: string): void {
  room = roomOf(name);
  const others = [...rooms.keys()].filter((one) => !ROOMS.includes(one));
  sessionStorage.setItem("room", name);
  sessionStorage.setItem("rooms", JSON.stringify(others));
  for (const one of rooms.values()) one.log.list.hidden = one !== room;
  room.open();
  stage.showRoom(room);
  show();
  goToEnd();
  focusComposer(name);
}

function onRoom(changed: Room): void {
  if (changed === room && !document.hidden) room.read();
  if (changed !== room || isAtEnd()) changed.trim();
  if (changed === stage.room) stage.show();
  else show();
}

let showing = false;

/** Shows several changes of one moment at once. */
function show(): void {
  if (showing) return;
  showing = true;
  queueMicrotask(() => {
    showing = false;
    showRooms();
    showPeople();
    showStage();
    find("room-title").textContent = `# ${room.name}`;
    find("empty").hidden = !room.log.isEmpty || client.state.status !== "connected";
    find("earlier").hidden = !room.more || room.log.first === undefined;
    const unread = [...rooms.values()].reduce((sum, one) => sum + one.unread, 0);
    document.title = `${unread > 0 ? `(${unread}) ` : ""}#${room.name} · ${TITLE}`;
    keepEnd();
  });
}

function showRooms(): void {
  const list = find("rooms");
  const focused = list.contains(document.activeElement)
    ? document.activeElement?.getAttribute("data-room")
    : undefined;
  const items = [...rooms.values()].map((one) => {
    const button = element("button", "", element("span", "name", one.name));
    button.dataset.room = one.name;
    button.onclick = () => goTo(one.name);
    if (one === room) button.ariaCurrent = "true";
    if (one === stage.room && stage.live !== undefined) button.append(element("span", "badge small", "Live"));
    if (one.unread > 0 && one !== room) {
      const badge = element("span", "unread", String(one.unread), element("span", "sr", " unread"));
      button.append(badge);
    }
    return element("li", "", button);
  });
  list.replaceChildren(...items);
  // Keeps the keyboard focus in the list.
  for (const button of list.querySelectorAll("button")) if (button.dataset.room === focused) button.focus();
}

function showPeople(): void {
  const people = [...room.members].sort((one, other) => one.since - other.since);
  const others = people.map(({ user }) => user).filter((user) => user !== you);
  find("people").textContent = people.length === 0 ? "" : describeMembers(others, others.length + 1);
  find("here-count").textContent = people.length === 0 ? "" : String(people.length);
  const live = room === stage.room ? stage.live : undefined;
  find("here").replaceChildren(
    ...people.map(({ user, state }) => {
      const { typing } = (state ?? {}) as Shown;
      const does = [
        ...(user === live?.user ? ["live"] : []),
        ...(typing === true && user !== you ? ["writing"] : []),
      ];
      const label = element("span", "quiet", does.join(", "));
      return element("li", "", ...person(user, user === you ? `${user} (you)` : user), label);
    }),
  );
  const { writing } = room;
  const [first] = writing;
  find("typing").textContent =
    writing.length > 1
      ? `${writing.length} people are writing`
      : first === undefined
        ? ""
        : `${first} is writing`;
}

function showStage(): void {
  const { live } = stage;
  const go = find("go-live") as HTMLButtonElement;
  go.hidden = live !== undefined;
  go.disabled = client.state.status !== "connected";
  find("app").classList.toggle("watching", !find("live").hidden);
}

/* User actions */

onSay({
  say: (text) => {
    find("notice").hidden = true;
    room.say(text);
    goToEnd();
  },
  typing: () => room.type(),
});
find("other-room").onsubmit = (event) => {
  event.preventDefault();
  const input = find("room-name") as HTMLInputElement;
  const name = input.value.replace(/^#+/, "").trim();
  input.value = "";
  if (name !== "") goTo(name);
};
find("go-live").onclick = () => void stage.start();
find("go-out").onclick = signOut;
onTop(() => void room.earlier(keepPlace));
document.onvisibilitychange = () => {
  if (document.hidden || find("app").hidden) return;
  room.open();
  show();
};

const getToken = restoreSignIn();
if (getToken === undefined) showSignIn((given) => void signIn(given, false));
else void signIn(getToken, true);
