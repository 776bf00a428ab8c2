// Legacy clients' messages, byte for byte: requests and the frames they receive. The server makes IDs and epochs.
import { expect, it } from "vitest";
import { OPEN, START, simulateStreamer } from "../../test/streamer/simulation.ts";
import { webSocketAuth } from "../lift/middleware/auth/index.ts";

const ID = "L0SM9cOFvHcCIhw=";

/** Connects a client with `?Authorization=`, and returns the texts that it receives. */
async function firstClient() {
  const { client, connections } = simulateStreamer({
    channels: { room: { ...OPEN, presence: true }, stream: OPEN },
    auth: webSocketAuth({ validateToken: (userId) => ({ userId, tenantId: "acme" }) }),
    middleware: [],
  });
  const { send } = await client(ID, { Authorization: "ada" } as object);
  return async (text: string) => {
    const before = connections.sentTo(ID).length;
    await send(text);
    return connections.sentTo(ID).slice(before).map(anonymized);
  };
}

/** Replaces UUIDs and epochs by `*`. */
function anonymized(text: string): string {
  return text.replace(/"(id|epoch)":"[^"]+"/g, '"$1":"*"');
}

it("legacy requests receive responses in their form", async () => {
  const play = await firstClient();
  expect(
    await play(
      '{"id":"r1","action":"subscribe","payload":{"channels":[{"channel":"room:a"},{"channel":"stream:s"}]},"metadata":{"user_id":"eve","tenant_id":"other"}}',
    ),
  ).toEqual([
    '{"type":"response","request_id":"r1","success":true,"data":{"channels":[' +
      '{"channel":"room:a","position":{"epoch":"*","offset":0}},' +
      '{"channel":"stream:s","position":{"epoch":"*","offset":0}}]}}',
    `{"type":"presence","id":"*","channel":"room:a","event":"join","user":"ada","at":${START}}`,
  ]);
});

it.each([
  ["a text that is not JSON", "{", "VALIDATION_ERROR", "The message is not JSON", ""],
  [
    "a message without an action",
    '{"id":"r1"}',
    "VALIDATION_ERROR",
    "action must be text",
    ',"details":{"path":"action","message":"must be text"}',
  ],
  ["an unknown action", '{"id":"r1","action":"fly"}', "INVALID_ACTION", "There is no such action", ""],
])("%s receives an error in the legacy form", async (_what, text, code, message, details) => {
  const play = await firstClient();
  const id = text.includes("r1") ? "r1" : "Ti89OF32joEFbiA=";
  expect(await play(text)).toEqual([
    `{"type":"error","request_id":"${id}","error":{"code":"${code}","message":"${message}","retry":false${details}}}`,
  ]);
});

it("accepts the legacy message route: chat, presence and stream", async () => {
  const play = await firstClient();
  await play('{"action":"subscribe","payload":{"channels":[{"channel":"room:a"},{"channel":"stream:s"}]}}');
  const message = (channel: string, data: string) =>
    `{"type":"message","id":"*","channel":"${channel}","data":${data},"at":${START},"user":"ada","position":{"epoch":"*","offset":1}}`;
  const response = (id: string, data: string) =>
    `{"type":"response","request_id":"${id}","success":true,"data":${data}}`;
  const stored = '{"id":"*","position":{"epoch":"*","offset":1}}';

  const chat = '{"channel":"room:a","text":"hi"}';
  expect(await play(`{"id":"r1","action":"message","type":"chat","data":${chat}}`)).toEqual([
    response("r1", stored),
    message("room:a", chat),
  ]);
  const stream = '{"channel":"stream:s","chunk":[1,2]}';
  expect(await play(`{"action":"message","type":"stream","data":${stream}}`)).toEqual([
    response("Ti89OF32joEFbiA=", stored),
    message("stream:s", stream),
  ]);
  expect(
    await play(
      '{"id":"r3","action":"message","type":"presence","data":{"channel":"room:a","state":{"typing":true}}}',
    ),
  ).toEqual([
    response("r3", "{}"),
    `{"type":"presence","id":"*","channel":"room:a","event":"update","user":"ada","at":${START},"state":{"typing":true}}`,
  ]);
});
