import type { Probe, ProbeEvent, Step, UpgradeShape } from "./probe.ts";
import { ROUTES } from "./probe-template.ts";
import { frame, OPCODE, type RawSocket } from "./raw-socket.ts";
import { withLimit } from "./time-limit.ts";

/** Asks an API, and resolves to its answer in a few words. */
export type Ask = (probe: Probe) => Promise<string>;

/** Ids and dates in an answer differ each time. */
function withoutIds(text: string): string {
  return text.replace(/("(?:connectionId|requestId)":\s*)"[^"]*"/g, '$1"…"');
}

/** The status of an upgrade, or of another request. */
export function status(shape: UpgradeShape): Ask {
  return async (probe) => String((await probe.respond(shape)).status);
}

/** The status of an upgrade whose `$connect` does this. */
export const connectStatus = (connect: Step) => status({ steps: { connect } });

/** The status of an upgrade whose authorizer does this. */
export const authorizerStatus = (authorizer: Step) => status({ steps: { authorizer } });

/** The body of a refused upgrade. */
export function refusal(shape: UpgradeShape): Ask {
  return async (probe) => withoutIds((await probe.respond(shape)).body.trim()) || "empty";
}

const FENCE = "fence";

/** The message that a result on a route with a route response causes, or `nothing`. */
export function reply(step: Step): Ask {
  return async (probe) => {
    const socket = await probe.connect();
    const id = await probe.idOf(socket);
    probe.send(socket, { ...step, to: id });
    await probe.event(isMessageOf(id, step));
    const found: string[] = [];
    const take = (text: string) => found.push(text === "" ? "an empty message" : withoutIds(text));
    // An answer that comes at all has mostly come before the second of two later answers.
    for (const _ of "12") {
      probe.send(socket, { result: { statusCode: 200, body: FENCE } });
      for (;;) {
        const { text } = await socket.next();
        if (text === FENCE) break;
        take(text);
      }
    }
    // Two other processes may have overtaken the one that has not answered yet.
    if (found.length === 0) {
      await withLimit(socket.next(), LATER_MS).then(
        ({ text }) => take(text),
        () => {},
      );
    }
    return found.join(", ") || "nothing";
  };
}

/** Finds the event of a message with this step. */
function isMessageOf(id: string, step: Step): (event: ProbeEvent) => boolean {
  const [[name, value] = ["", undefined]] = Object.entries(step);
  return ({ event }) =>
    event.requestContext.connectionId === id &&
    event.body !== undefined &&
    JSON.stringify(JSON.parse(event.body)[name]) === JSON.stringify(value);
}

/** The code and reason in the `$disconnect` that follows: `1006 Abnormal closure`. */
async function disconnect(probe: Probe, fits: (event: ProbeEvent) => boolean): Promise<string> {
  const { event } = await probe.event((each) => isDisconnect(each) && fits(each));
  const { disconnectStatusCode: code, disconnectReason: reason } = event.requestContext;
  return `${code} ${reason}`.trim();
}

function isDisconnect({ event }: ProbeEvent): boolean {
  return event.requestContext.eventType === "DISCONNECT";
}

/** An event may arrive after the refusal that followed it. */
const LATER_MS = 5_000;

/** The first event of this kind, also of an upgrade that is refused after it. @throws Error when it was refused before */
function eventOf(probe: Probe, { response }: RawSocket, wanted: ProbeEvent["kind"]): Promise<ProbeEvent> {
  const event = probe.event(({ kind }) => kind === wanted);
  const unlessRefused = response.then(({ status, body }) =>
    status === 101
      ? event
      : withLimit(event, LATER_MS, `the connection was refused with ${status} ${body}`.trim()),
  );
  return Promise.race([event, unlessRefused]);
}

/** The `$disconnect` of a connection that is refused, or that its client leaves, while `$connect` works. */
export function disconnectOfConnect(connect: Step, leaves = false): Ask {
  return async (probe) => {
    const socket = probe.request({ steps: { connect } });
    const { event } = await eventOf(probe, socket, "connect");
    if (leaves) socket.destroy();
    const { connectionId } = event.requestContext;
    return disconnect(probe, (each) => each.event.requestContext.connectionId === connectionId);
  };
}

/** How a connection ends: for the client, and in `$disconnect`. */
export function ending(act: (socket: RawSocket, probe: Probe, id: string) => unknown): Ask {
  return async (probe) => {
    const socket = await probe.connect();
    const id = await probe.idOf(socket);
    await act(socket, probe, id);
    const [closed, left] = await Promise.all([
      socket.closed,
      disconnect(probe, ({ event }) => event.requestContext.connectionId === id),
    ]);
    return `client: ${closed}; $disconnect: ${left}`;
  };
}

/** How a connection ends after these bytes. */
export function endingAfter(...bytes: readonly Uint8Array[]): Ask {
  return ending((socket) => socket.transport.write(Buffer.concat(bytes)));
}

/** The frames and the text of a message that the function posts. */
export function posted(post: Buffer, bytes = post.length): Ask {
  return async (probe) => {
    const socket = await probe.connect();
    const to = await probe.idOf(socket);
    probe.send(socket, { post: post.toString("base64"), bytes, to }, ROUTES.quiet);
    const { opcode, text, frames } = await socket.next();
    const type = opcode === OPCODE.text ? "text" : `opcode ${opcode}`;
    return `${type}, frames of ${frames.join(" + ")} bytes${text.length < 10 ? `: ${JSON.stringify(text)}` : ""}`;
  };
}

/** Whether a connection is open after some minutes, with an action every so often: `open`, or its close. */
export function openAfter(
  minutes: number,
  every: number,
  act: (socket: RawSocket, probe: Probe, id: string) => unknown,
): Ask {
  return async (probe) => {
    const socket = await probe.connect();
    const id = await probe.idOf(socket);
    const startedAt = performance.now();
    const timer = setInterval(() => act(socket, probe, id), every * 60_000);
    const end = Promise.withResolvers<string>();
    const timeout = setTimeout(() => end.resolve("open"), minutes * 60_000);
    const closed = await Promise.race([socket.closed, end.promise]);
    clearInterval(timer);
    clearTimeout(timeout);
    if (closed === "open") return `open after ${minutes} minutes`;
    return `${closed} after ${Math.round((performance.now() - startedAt) / 60_000)} minutes`;
  };
}

export const ping = (socket: RawSocket): boolean => socket.transport.write(frame(OPCODE.ping, ""));

/** Posts to a connection by another one. */
export function postBy(_: RawSocket, probe: Probe, to: string): void {
  const send = (poster: RawSocket) => probe.send(poster, { post: "eA==", bytes: 1, to }, ROUTES.quiet);
  // A failed post shows in the answer: the connection is closed.
  probe.connect().then(send, () => {});
}

/** The answers to messages at once to the route that takes one per second, and whether the socket stays open. */
export const overTheRate: Ask = async (probe) => {
  const socket = await probe.connect();
  for (let sent = 0; sent < 10; sent++) probe.send(socket, {}, ROUTES.throttled);
  const { text } = await socket.next();
  return `${withoutIds(text)}; the socket is ${JSON.parse(text).message && (await isOpen(socket, probe)) ? "open" : "closed"}`;
};

async function isOpen(socket: RawSocket, probe: Probe): Promise<boolean> {
  return probe.idOf(socket).then(
    () => true,
    () => false,
  );
}

const RAW_HEADERS = [
  "X-One: 1",
  "x-one: 2",
  "Keep-Alive: timeout=5",
  "Proxy-Connection: keep-alive",
  "Content-Length: 0",
];
/** Names in question: other headers depend on the network between. */
const NAMES = /^(x-one|keep-alive|proxy-connection|connection|upgrade|content-length)$/i;

/** Which of the headers in question an event has. */
export function headersIn(kind: ProbeEvent["kind"]): Ask {
  return async (probe) => {
    const { event } = await eventOf(probe, probe.request({ headers: RAW_HEADERS }), kind);
    const names = Object.keys(event.headers).filter((name) => NAMES.test(name));
    return names.sort().join(", ") || "none";
  };
}

/** A value of the authorizer's context in the next event. */
export function contextIn(context: NonNullable<Step["context"]>, name: string): Ask {
  return async (probe) => {
    const socket = probe.request({ steps: { authorizer: { context } } });
    const { event } = await eventOf(probe, socket, "connect");
    return JSON.stringify(event.requestContext.authorizer[name]) ?? "absent";
  };
}

/** Whether the authorizer's event and the CONNECT event have the same id. */
export const sharesRequestId: Ask = async (probe) => {
  const socket = probe.request({});
  const idOf = async (wanted: ProbeEvent["kind"]): Promise<unknown> =>
    (await eventOf(probe, socket, wanted)).event.requestContext.requestId;
  return (await idOf("authorizer")) === (await idOf("connect")) ? "yes" : "no";
};

/** The extensions in the response to an offer. */
export const compression: Ask = async (probe) => {
  const { headers } = await probe.respond({ headers: ["Sec-WebSocket-Extensions: permessage-deflate"] });
  return headers.get("sec-websocket-extensions") ?? "none";
};
