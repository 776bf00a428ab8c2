/**
 * A stub of the @connections API with minimal cost: reads only the id and the end of a request, checks no signature, and
 * sends a prepared response 10 ms later.
 */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { answer } from "../lib/control.ts";
import { KIND_AT, type StubCounts } from "../lib/recipients.ts";

const ANSWER_MS = 10;

const reply = (status: string, type?: string): Buffer =>
  Buffer.from(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: 0\r\n${type === undefined ? "" : `x-amzn-errortype: ${type}\r\n`}\r\n`,
  );
const SENT = reply("200 OK");
const GONE = reply("410 Gone", "GoneException");
const THROTTLED = reply("429 Too Many Requests", "LimitExceededException");
const PATH = "/@connections/";

const sent = new Set<string>();
const refusedOnce = new Set<string>();
let repeated = 0;
let queue: { readonly at: number; readonly socket: Socket; readonly bytes: Buffer }[] = [];

function answerTo(id: string): Buffer {
  const kind = id[KIND_AT];
  if (kind === "g") return GONE;
  if (kind === "t" && !refusedOnce.has(id)) {
    refusedOnce.add(id);
    return THROTTLED;
  }
  if (sent.has(id)) repeated++;
  sent.add(id);
  return SENT;
}

/** Length of the first request in `text`, in bytes. 0 while it is incomplete. */
function requestLength(text: string): number {
  const head = text.indexOf("\r\n\r\n");
  if (head < 0) return 0;
  const at = text.search(/content-length: /i);
  const body = at < 0 || at > head ? 0 : Number.parseInt(text.slice(at + 16, at + 26), 10);
  return text.length >= head + 4 + body ? head + 4 + body : 0;
}

function serve(socket: Socket): void {
  let text = "";
  socket.setNoDelay();
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    for (let length = requestLength(text); length > 0; length = requestLength(text)) {
      const from = text.indexOf(PATH) + PATH.length;
      const id = text.slice(from, text.indexOf(" ", from)).replace("%3D", "=");
      queue.push({ at: performance.now() + ANSWER_MS, socket, bytes: answerTo(id) });
      text = text.slice(length);
    }
  });
}

// One timer sends all due responses, within a millisecond.
setInterval(() => {
  const now = performance.now();
  let due = 0;
  for (; due < queue.length && queue[due]!.at <= now; due++) queue[due]!.socket.write(queue[due]!.bytes);
  if (due > 0) queue = queue.slice(due);
}, 1);

answer("counts", (): StubCounts => {
  const counts = { sent: sent.size, repeated, throttled: refusedOnce.size };
  sent.clear();
  refusedOnce.clear();
  repeated = 0;
  return counts;
});

const server = createServer(serve).listen(0, "127.0.0.1", 1024, () => {
  console.log(`ready ${(server.address() as AddressInfo).port}`);
});
