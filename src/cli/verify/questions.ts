import {
  type Ask,
  authorizerStatus,
  compression,
  connectStatus,
  contextIn,
  disconnectOfConnect,
  ending,
  endingAfter,
  headersIn,
  openAfter,
  overTheRate,
  ping,
  postBy,
  posted,
  refusal,
  reply,
  sharesRequestId,
  status,
} from "./asks.ts";
import { TIMEOUT_MS } from "./probe-template.ts";
import { frame, OPCODE } from "./raw-socket.ts";

/** One way to ask a question. */
export interface Way {
  readonly how: string;
  /** The answer of this package's gateway. */
  readonly here: string;
  /** Absent: only a person can ask. */
  readonly ask?: Ask;
  /** `slow`: takes more than a minute. `service`: `lift-ws local` cannot be asked. */
  readonly only?: "slow" | "service";
}

/** A question that COMPATIBILITY.md leaves open. */
export interface Question {
  /** Its words there, in bold. */
  readonly text: string;
  readonly ways: readonly Way[];
}

const error = (message: string) => `{"message": "${message}", "connectionId":"…", "requestId":"…"}`;
const SERVER_ERROR = error("Internal server error");
const MALFORMED = (result: object) =>
  [
    { how: `from \`$connect\`: ${JSON.stringify(result)}`, ask: connectStatus({ result }), here: "502" },
    { how: `from a message route: ${JSON.stringify(result)}`, ask: reply({ result }), here: SERVER_ERROR },
  ] as const;
const ACCEPTED = (result: object) =>
  [
    { how: `from \`$connect\`: ${JSON.stringify(result)}`, ask: connectStatus({ result }), here: "101" },
    {
      how: `from a message route: ${JSON.stringify(result)}, with a body`,
      ask: reply({ result: { ...result, body: "ok" } }),
      here: "ok",
    },
  ] as const;
/** Longer than the integrations' time limit, and than any authorizer's. */
const [TOO_LONG, FAR_TOO_LONG] = [TIMEOUT_MS + 2_000, 35_000];
const both = (closed: string) => `client: ${closed}; $disconnect: ${closed}`;
const filled = (bytes: number) =>
  Array.from(
    { length: Math.ceil(bytes / 4_000) },
    (_, at) => `X-Fill-${at}: ${"x".repeat(Math.min(4_000, bytes - at * 4_000))}`,
  );

const short = (count: number) => Array.from({ length: count }, (_, at) => `A${at}: x`);

/** COMPATIBILITY.md's open questions, in its order: a test compares the lists. */
export const QUESTIONS: readonly Question[] = [
  {
    text: "A `$connect` result without a statusCode, or with a 1xx",
    ways: [
      { how: "return `{}`", ask: connectStatus({ result: {} }), here: "502" },
      { how: "return a 101", ask: connectStatus({ result: { statusCode: 101 } }), here: "502" },
    ],
  },
  {
    text: "A result with unknown fields",
    ways: [...MALFORMED({ statusCode: 200, data: "x" }), ...MALFORMED({ statusCode: 200, cookies: [] })],
  },
  {
    text: "A `statusCode` as text",
    ways: [
      ...ACCEPTED({ statusCode: "200" }),
      ...MALFORMED({ statusCode: "2e2" }),
      ...MALFORMED({ statusCode: " 200" }),
    ],
  },
  { text: "a header value that is a number", ways: ACCEPTED({ statusCode: 200, headers: { "X-N": 1 } }) },
  {
    text: "An empty body where the route has a route response",
    ways: [
      {
        how: 'return `body: ""`',
        ask: reply({ result: { statusCode: 200, body: "" } }),
        here: "an empty message",
      },
    ],
  },
  {
    text: "A `$connect` that times out",
    ways: [
      {
        how: "sleep for longer than the integration's limit",
        ask: connectStatus({ sleep: TOO_LONG }),
        here: "504",
      },
    ],
  },
  {
    text: "An authorizer that fails otherwise",
    ways: [
      { how: 'throw `Error("x")`', ask: authorizerStatus({ error: "x" }), here: "500" },
      {
        how: "return a policy without principalId",
        ask: authorizerStatus({ without: "principalId" }),
        here: "500",
      },
      { how: "return 9 KB", ask: authorizerStatus({ fill: 9_000 }), here: "500" },
      { how: "time out", ask: authorizerStatus({ sleep: FAR_TOO_LONG }), here: "500" },
    ],
  },
  {
    text: "An upgrade over HTTP/1.0",
    ways: [{ how: "`GET /stage HTTP/1.0`", ask: status({ version: "1.0" }), here: "400" }],
  },
  {
    text: "A plain GET on the stage",
    ways: [{ how: "without the upgrade headers", ask: status({ upgrade: false }), here: "426" }],
  },
  {
    text: "an upgrade on another path or stage",
    ways: [
      {
        how: "a path below the stage",
        ask: status({ path: (stage, query) => `${stage}/x${query}` }),
        here: "403",
      },
      { how: "another stage", ask: status({ path: (stage, query) => `${stage}x${query}` }), here: "403" },
    ],
  },
  {
    text: "A client that disconnects while `$connect` runs",
    ways: [
      {
        how: "sleep in `$connect`, kill the client meanwhile",
        ask: disconnectOfConnect({ sleep: 2_000 }, true),
        here: "1006 Abnormal closure",
      },
    ],
  },
  {
    text: "A `$connect` that returns 2xx after its client was refused",
    ways: [
      {
        how: "sleep for longer than the integration's limit, then answer 200",
        ask: disconnectOfConnect({ sleep: TOO_LONG }),
        here: "1006 Abnormal closure",
      },
      {
        how: "return the subprotocol `a b`",
        ask: disconnectOfConnect({
          result: { statusCode: 200, headers: { "Sec-WebSocket-Protocol": "a b" } },
        }),
        here: "1006 Abnormal closure",
      },
    ],
  },
  {
    text: "The client's close code after DELETE @connections",
    ways: [
      {
        how: "delete it",
        ask: ending((socket, probe, id) => probe.send(socket, { delete: id }, "quiet")),
        here: "client: 1000 Connection Closed Normally; $disconnect: 1000 Connection Closed Normally",
      },
    ],
  },
  {
    text: "The close after 2 hours",
    ways: [
      {
        how: "send a message every 9 minutes",
        ask: openAfter(130, 9, (socket, probe) => probe.send(socket, {}, "quiet")),
        here: "1001 Going away after 120 minutes",
        only: "slow",
      },
    ],
  },
  {
    text: "A client that disappears",
    ways: [
      {
        how: "reset the connection",
        ask: ending((socket) => socket.reset()),
        here: "client: no close frame; $disconnect: 1006 Abnormal closure",
      },
      {
        how: "end it without a close frame",
        ask: ending((socket) => socket.transport.end()),
        here: "client: no close frame; $disconnect: 1006 Abnormal closure",
      },
      { how: "drop its packets with a firewall rule", here: "1006 Abnormal closure" },
    ],
  },
  {
    text: "The reasons for 1002, 1003, 1007 and 1009",
    ways: [
      {
        how: "a frame without a mask",
        ask: endingAfter(frame(OPCODE.text, "x", { masked: false })),
        here: both("1002 Protocol error"),
      },
      {
        how: "a binary frame",
        ask: endingAfter(frame(OPCODE.binary, "x")),
        here: both("1003 Unsupported data"),
      },
      {
        how: "text that is not UTF-8",
        ask: endingAfter(frame(OPCODE.text, Buffer.from([0xff]))),
        here: both("1007 Invalid frame payload data"),
      },
      {
        how: "a frame over 32 KB",
        ask: endingAfter(frame(OPCODE.text, "x".repeat(32_769))),
        here: both("1009 Message too big"),
      },
      {
        how: "a message over 128 KB",
        ask: endingAfter(
          frame(OPCODE.text, "x".repeat(32_768), { fin: false }),
          ...Array.from({ length: 3 }, () => frame(OPCODE.continuation, "x".repeat(32_768), { fin: false })),
          frame(OPCODE.continuation, "x"),
        ),
        here: both("1009 Message too big"),
      },
    ],
  },
  {
    text: "Whether a ping resets the idle time",
    ways: [
      {
        how: "ping every minute",
        ask: openAfter(12, 1, ping),
        here: "1001 Going away after 10 minutes",
        only: "slow",
      },
    ],
  },
  {
    text: "whether a POST to the client does",
    ways: [
      {
        how: "post every 9 minutes",
        ask: openAfter(20, 9, postBy),
        here: "open after 20 minutes",
        only: "slow",
      },
    ],
  },
  {
    text: "A URL over 4,096 characters",
    ways: [
      { how: "4,096 characters", ask: status({ path: longUrl(4_096) }), here: "101" },
      { how: "4,097 characters", ask: status({ path: longUrl(4_097) }), here: "414" },
      { how: "9,000 characters", ask: status({ path: longUrl(9_000) }), here: "414" },
    ],
  },
  {
    text: "how many headers and bytes of headers",
    ways: [
      { how: "8,000 bytes", ask: status({ headers: filled(8_000) }), here: "101" },
      { how: "12,000 bytes", ask: status({ headers: filled(12_000) }), here: "101" },
      // No more than a server reads at once: what it leaves unread resets the connection, and its response is lost.
      { how: "16,400 bytes", ask: status({ headers: filled(16_400) }), here: "431" },
      ...[90, 500, 900].map((count) => ({
        how: `${count} headers`,
        ask: status({ headers: short(count) }),
        here: "101",
      })),
      { how: "1,100 headers", ask: status({ headers: short(1_100) }), here: "431" },
    ],
  },
  {
    text: "A POST of 32 to 128 KB",
    ways: [
      {
        how: "40,000 bytes",
        ask: posted(Buffer.from("x"), 40_000),
        here: "text, frames of 32768 + 7232 bytes",
      },
    ],
  },
  {
    text: "A message over the request rate",
    ways: [
      {
        how: "ten messages to a route that takes one per second",
        ask: overTheRate,
        here: `${error("Too Many Requests")}; the socket is open`,
        only: "service",
      },
    ],
  },
  {
    text: "A POST whose bytes are not UTF-8",
    ways: [
      { how: "post `0xff`", ask: posted(Buffer.from([0xff])), here: 'text, frames of 3 bytes: "\ufffd"' },
    ],
  },
  {
    text: "A route response for a result that is not 2xx",
    ways: [
      {
        how: "return a 400 with a body",
        ask: reply({ result: { statusCode: 400, body: "no" } }),
        here: "no",
      },
    ],
  },
  {
    text: "for a result with `isBase64Encoded: true`",
    ways: [
      {
        how: 'return `body: "aGk="`',
        ask: reply({ result: { statusCode: 200, body: "aGk=", isBase64Encoded: true } }),
        here: "aGk=",
      },
    ],
  },
  {
    text: "A `null` in the authorizer's context",
    ways: [{ how: "return `{ a: null }`", ask: contextIn({ a: null }, "a"), here: '"null"' }],
  },
  {
    text: "Which headers the service drops or adds",
    ways: [
      {
        how: "in the authorizer's event",
        ask: headersIn("authorizer"),
        here: "Connection, Content-Length, Keep-Alive, Proxy-Connection, Upgrade, X-One",
      },
      {
        how: "in the CONNECT event",
        ask: headersIn("connect"),
        here: "Content-Length, Keep-Alive, Proxy-Connection, X-One",
      },
    ],
  },
  {
    text: "Whether an authorizer's event and the CONNECT event after it share a requestId",
    ways: [{ how: "compare them", ask: sharesRequestId, here: "no" }],
  },
  {
    text: "The body of a refused upgrade",
    ways: [
      { how: "401", ask: refusal({ path: (stage) => stage }), here: error("Unauthorized") },
      {
        how: "403",
        ask: refusal({ steps: { authorizer: { effect: "Deny" } } }),
        here: error("Forbidden"),
      },
      {
        how: "502",
        ask: refusal({ steps: { connect: { error: "x" } } }),
        here: SERVER_ERROR,
      },
      { how: "429: connect more than 500 times in a second", here: error("Too Many Requests") },
    ],
  },
  {
    text: "Compression",
    ways: [{ how: "offer permessage-deflate", ask: compression, here: "none" }],
  },
];

function longUrl(length: number): (stage: string, query: string) => string {
  return (stage, query) => `${stage}${query}&x=`.padEnd(length, "x");
}
