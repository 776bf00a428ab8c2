import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseServerMessage } from "../../test/streamer/server-message.ts";
import { anyText } from "../../test/support/any-text.ts";
import { CHUNKS_TIMEOUT_MS } from "../store/index.ts";
import {
  ACTIONS,
  LIMITS,
  ProtocolError,
  parseChannelName,
  parseRequest,
  RETRY_BY_CODE,
  utf8Length,
} from "./index.ts";

const PROTOCOL = readFileSync(new URL("../../PROTOCOL.md", import.meta.url), "utf8");

/** A chapter of the document, down to the next heading of its level. */
function chapter(heading: string): string {
  const [, rest = ""] = PROTOCOL.split(`\n${heading}\n`);
  return rest.split(/\n## /)[0] ?? "";
}

function examplesIn(text: string): string[] {
  return [...text.matchAll(/^Example: `(.+)`$/gm)].map(([, example = ""]) => example);
}

function refusal(message: string): ProtocolError {
  try {
    parseRequest(message);
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  throw new Error(`It was taken: ${message}`);
}

const request = (fields: object) => JSON.stringify({ id: "1", ...fields });
const subscribe = (...channels: unknown[]) => request({ action: "subscribe", payload: { channels } });

describe("PROTOCOL.md", () => {
  const clientChapter = chapter("## Client to server");
  const serverChapter = chapter("## Server to client");

  it("describes exactly the actions that the parser accepts", () => {
    const headings = [...clientChapter.matchAll(/^### `(.+)`$/gm)].map(([, name]) => name);
    expect(headings.sort()).toEqual([...ACTIONS].sort());
  });

  it("has a valid example of each action", () => {
    const read = examplesIn(clientChapter).map((example) => parseRequest(example).action);
    expect(read.sort()).toEqual([...ACTIONS].sort());
  });

  it("has a valid example of each message to clients", () => {
    const headings = [...serverChapter.matchAll(/^### `(.+)`$/gm)].map(([, name]) => name);
    const examples = examplesIn(serverChapter);
    for (const example of examples) expect(parseServerMessage(example)).toEqual(JSON.parse(example));
    expect(examples.map((example) => JSON.parse(example).type)).toEqual(headings);
  });

  it("lists each code, with whether a client retries", () => {
    const rows = [...chapter("## Error codes").matchAll(/^\| `(\w+)` \| (yes|no) \|/gm)];
    expect(Object.fromEntries(rows.map(([, code, retry]) => [code, retry === "yes"]))).toEqual(RETRY_BY_CODE);
  });

  it("lists the limits", () => {
    const limits = chapter("## Limits");
    for (const row of [
      `| a message from a client | ${LIMITS.clientFrameBytes.toLocaleString("en")} bytes in one frame, ${LIMITS.messageBytes.toLocaleString("en")} in parts |`,
      `| parts of a message | ${LIMITS.parts}, within ${CHUNKS_TIMEOUT_MS / 1_000} s |`,
      `| a message to a client | ${LIMITS.messageBytes.toLocaleString("en")} bytes |`,
      `| \`id\` and \`key\` | ${LIMITS.idBytes} bytes |`,
      `| channels in a \`subscribe\`, \`unsubscribe\` or \`heartbeat\` | ${LIMITS.channels} |`,
      `| \`after\`, of \`presence\` | ${LIMITS.userBytes.toLocaleString("en")} bytes |`,
      `| a user's \`state\` | ${LIMITS.stateBytes.toLocaleString("en")} bytes |`,
      `| a stream's \`data\` | ${LIMITS.streamBytes.toLocaleString("en")} bytes |`,
      `| nesting of JSON | ${LIMITS.depth} |`,
    ]) {
      expect(limits).toContain(row);
    }
  });
});

describe("parseRequest", () => {
  it("returns id, action and payload, without unknown fields", () => {
    expect(
      parseRequest(
        request({
          action: "subscribe",
          metadata: { user: "mallory" },
          payload: {
            channels: [{ channel: "room:a", position: { epoch: "e", offset: 0 }, extra: 1 }],
            more: 1,
          },
        }),
      ),
    ).toEqual({
      id: "1",
      action: "subscribe",
      payload: { channels: [{ channel: "room:a", position: { epoch: "e", offset: 0 } }] },
    });
  });

  it("accepts a request without an id or a payload", () => {
    expect(parseRequest('{"action":"heartbeat"}')).toEqual({ action: "heartbeat", payload: {} });
  });

  it("parses legacy clients' messages", () => {
    expect(
      parseRequest('{"action":"message","type":"chat","data":{"channel":"room:a","text":"hi"}}'),
    ).toEqual({
      action: "message",
      payload: { type: "chat", channel: "room:a", data: { channel: "room:a", text: "hi" } },
    });
  });

  it("keeps the client's own keys apart from those of objects", () => {
    const message =
      '{"action":"publish","payload":{"channel":"room:a","data":{"__proto__":{"admin":true},"constructor":1}}}';
    const { payload } = parseRequest(message) as { payload: { data: object } };
    expect(Object.keys(payload.data)).toEqual(["__proto__", "constructor"]);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it.each([
    ["", "MALFORMED_JSON"],
    ["{", "MALFORMED_JSON"],
    ["null", "VALIDATION_ERROR"],
    ["[]", "VALIDATION_ERROR"],
    ['"subscribe"', "VALIDATION_ERROR"],
    ["{}", "VALIDATION_ERROR"],
    ['{"action":1}', "VALIDATION_ERROR"],
    ['{"id":7,"action":"presence"}', "VALIDATION_ERROR"],
    ['{"action":"nothing"}', "NOT_FOUND"],
    ['{"action":"__proto__"}', "NOT_FOUND"],
    ['{"action":"constructor"}', "NOT_FOUND"],
    ['{"action":"subscribe","payload":[]}', "VALIDATION_ERROR"],
    ['{"action":"message","type":"video","data":{"channel":"room:a"}}', "VALIDATION_ERROR"],
    ['{"action":"message","type":"chat","data":"room:a"}', "VALIDATION_ERROR"],
    ['{"action":"message","type":"stream","data":{"channel":"room:a"}}', "VALIDATION_ERROR"],
    [
      `{"action":"message","type":"presence","data":{"channel":"room:a","state":"${"x".repeat(1_024)}"}}`,
      "VALIDATION_ERROR",
    ],
    [
      '{"action":"history","payload":{"channel":"room:a","before":2,"after":{"epoch":"e","offset":1}}}',
      "VALIDATION_ERROR",
    ],
  ])("refuses %s with %s", (message, code) => {
    expect(refusal(message).code).toBe(code);
  });

  it("reports the path of the invalid field, with the request's id", () => {
    const error = refusal(subscribe({ channel: "room:a" }, { channel: "room:b", position: { epoch: "e" } }));
    expect(error).toMatchObject({ code: "VALIDATION_ERROR", requestId: "1" });
    expect(error.issue?.path).toBe("payload.channels[1].position.offset");
  });

  it.each([-1, 0.5, 2 ** 53, "1", null])("rejects the offset %s", (offset) => {
    expect(refusal(subscribe({ channel: "room:a", position: { epoch: "e", offset } })).code).toBe(
      "VALIDATION_ERROR",
    );
  });

  it("accepts channels up to the limit", () => {
    const channels = (count: number) => Array.from({ length: count }, (_, i) => ({ channel: `room:${i}` }));
    expect(parseRequest(subscribe(...channels(LIMITS.channels)))).toMatchObject({ action: "subscribe" });
    expect(refusal(subscribe(...channels(LIMITS.channels + 1))).code).toBe("VALIDATION_ERROR");
    expect(refusal(subscribe()).code).toBe("VALIDATION_ERROR");
  });

  it("accepts nesting up to the limit", () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    const publish = (depth: number) =>
      `{"action":"publish","payload":{"channel":"room:a","data":${nested(depth)}}}`;
    expect(parseRequest(publish(LIMITS.depth))).toMatchObject({ action: "publish" });
    expect(refusal(publish(LIMITS.depth + 1)).code).toBe("VALIDATION_ERROR");
    expect(refusal(publish(60_000)).code).toBe("VALIDATION_ERROR");
  });

  it("rejects a channel that is named twice", () => {
    expect(
      refusal(subscribe({ channel: "room:a" }, { channel: "room:b" }, { channel: "room:a" })),
    ).toMatchObject({
      code: "VALIDATION_ERROR",
      message: "payload.channels must name each channel once",
    });
  });

  it("accepts a state up to its limit in bytes", () => {
    const set = (bytes: number) =>
      request({ action: "set_presence", payload: { channel: "room:a", state: "é".repeat((bytes - 2) / 2) } });
    expect(parseRequest(set(LIMITS.stateBytes))).toMatchObject({ action: "set_presence" });
    expect(refusal(set(LIMITS.stateBytes + 2)).code).toBe("VALIDATION_ERROR");
  });

  it.each([
    ["a number of its message that is none", { message: 0 }],
    ["one part alone", { index: 0, count: 1 }],
    ["more parts than a message has", { count: LIMITS.parts + 1 }],
    ["a part behind the last", { index: 2 }],
    ["nothing in it", { text: "" }],
    ["more than a frame takes", { text: "x".repeat(LIMITS.clientFrameBytes + 1) }],
    ["half a character", { text: "\u{1F600}".slice(0, 1) }],
  ])("refuses a part with %s", (_, wrong) => {
    const part = (fields: object) =>
      request({ action: "part", payload: { message: 1, count: 2, ...fields } });
    expect(parseRequest(part({ index: 1, text: "\u{1F600}\u0000" }))).toMatchObject({ action: "part" });
    expect(refusal(part({ index: 1, text: "x", ...wrong }))).toMatchObject({
      code: "VALIDATION_ERROR",
      requestId: "1",
    });
  });

  it("accepts a live stream's data up to its limit in bytes", () => {
    const start = (bytes: number) =>
      request({
        action: "stream_start",
        payload: { channel: "stream:a", data: "é".repeat((bytes - 2) / 2) },
      });
    expect(parseRequest(start(LIMITS.streamBytes))).toMatchObject({ action: "stream_start" });
    expect(refusal(start(LIMITS.streamBytes + 2)).code).toBe("VALIDATION_ERROR");
  });

  it("returns a request or throws a ProtocolError, for any input", () => {
    const json = fc.json({ maxDepth: 4 });
    const near = fc
      .record(
        {
          id: fc.oneof(fc.string(), fc.anything()),
          action: fc.oneof(fc.constantFrom(...ACTIONS), fc.string()),
          type: fc.constantFrom("chat", "presence", "stream", "x"),
          data: fc.jsonValue(),
          payload: fc.oneof(
            fc.jsonValue(),
            fc.record(
              {
                channel: fc.oneof(fc.constant("room:a"), anyText),
                channels: fc.array(
                  fc.oneof(fc.constant("room:a"), fc.record({ channel: fc.string() }), fc.jsonValue()),
                ),
                data: fc.jsonValue(),
                positions: fc.dictionary(fc.string(), fc.jsonValue()),
                limit: fc.integer(),
                token: fc.string(),
              },
              { requiredKeys: [] },
            ),
          ),
        },
        { requiredKeys: [] },
      )
      .map((value) =>
        JSON.stringify(value, (_, field) => (typeof field === "bigint" ? String(field) : field)),
      );
    fc.assert(
      fc.property(fc.oneof(anyText, json, near), (message) => {
        try {
          expect(ACTIONS).toContain(parseRequest(message).action);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("parseServerMessage", () => {
  it("returns undefined for an unknown type", () => {
    expect(parseServerMessage('{"type":"weather"}')).toBeUndefined();
    expect(parseServerMessage('{"type":"__proto__"}')).toBeUndefined();
    expect(parseServerMessage("{}")).toBeUndefined();
  });

  it.each(["", "[]", '{"type":"message","id":"1"}', '{"type":"response","request_id":"1","success":true}'])(
    "refuses %s",
    (message) => {
      expect(() => parseServerMessage(message)).toThrow(ProtocolError);
    },
  );

  it("returns a message or undefined, or throws a ProtocolError, for any input", () => {
    const types = fc.constantFrom(
      "response",
      "error",
      "message",
      "presence",
      "stream_started",
      "stream_ended",
      "viewers",
      "x",
    );
    const near = fc
      .tuple(types, fc.dictionary(fc.string(), fc.jsonValue()))
      .map(([type, fields]) => JSON.stringify({ ...fields, type }));
    fc.assert(
      fc.property(fc.oneof(anyText, fc.json(), near), (message) => {
        try {
          parseServerMessage(message);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
    );
  });
});

describe("a channel's name", () => {
  it.each([
    "room:a",
    "user:ada",
    "my-own_2:ä 日本",
    "stream:a:b",
    `room:${"x".repeat(LIMITS.channelNameBytes)}`,
  ])("may be %s", (channel) => {
    const { namespace, name } = parseChannelName(channel) ?? {};
    expect(`${namespace}:${name}`).toBe(channel);
  });

  it.each([
    "",
    "room",
    ":",
    "room:",
    ":a",
    "Room:a",
    "1room:a",
    "ro om:a",
    "room:a\u0000",
    "room:a\nb",
    "room:\ud800",
    `${"x".repeat(33)}:a`,
    `room:${"x".repeat(LIMITS.channelNameBytes + 1)}`,
    `room:${"é".repeat(LIMITS.channelNameBytes / 2 + 1)}`,
    `room:${"x".repeat(10_240)}`,
  ])("can't be %j", (channel) => {
    expect(parseChannelName(channel)).toBeUndefined();
  });
});

it("counts the bytes of a text on the wire", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(utf8Length(text)).toBe(Buffer.byteLength(text));
    }),
  );
  expect(utf8Length("\ud800a\udc00\ud83d\ude00")).toBe(Buffer.byteLength("\ud800a\udc00\ud83d\ude00"));
});
