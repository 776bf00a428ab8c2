import { describe, expect, it } from "vitest";
import { ProtocolError } from "./codes.ts";
import { LIMITS, parseRequest, type Results } from "./index.ts";
import { parseAs, parseValue } from "./parse.ts";
import type { Payloads } from "./requests.ts";
import { RESULTS } from "./results.ts";
import type { ObjectSchema, Schema } from "./schema.ts";

const POSITION = { epoch: "e", offset: 3 };
const MESSAGE = {
  type: "message",
  id: "m",
  channel: "room:a",
  data: 1,
  at: 5,
  user: "ada",
  position: POSITION,
};
const LIVE = { user: "ada", since: 5, viewers: 2, data: { title: "x" } };
const ERROR = { code: "FORBIDDEN", message: "Not allowed", retry: false, details: { a: 1 } };

type Sample = { readonly [field: string]: unknown };

/** A payload of each action with every field. The parser turns an object of positions into a Map. */
const PAYLOADS: { readonly [Name in Exclude<keyof Payloads, "message">]: Sample } = {
  subscribe: { channels: [{ channel: "room:a", position: POSITION, recent: 100, state: { mood: "x" } }] },
  unsubscribe: { channels: ["room:a"] },
  publish: { channel: "room:a", data: { text: "hi" }, key: "k", others: true },
  history: { channel: "room:a", after: POSITION, limit: 100 },
  presence: { channel: "room:a", after: "ada" },
  set_presence: { channel: "room:a", state: { typing: true } },
  stream_start: { channel: "stream:a", data: { title: "x" } },
  stream_end: { channel: "stream:a" },
  stream: { channel: "stream:a" },
  heartbeat: { positions: { "room:a": POSITION } },
  refresh: { token: "t" },
  upload: { channel: "room:a", bytes: 1, contentType: "image/png" },
  download: { channel: "room:a", blob: "b" },
  request: { request: "r" },
  result: { request: "r", from: 0 },
  requests: { after: "r", limit: 100 },
  cancel: { request: "r" },
  resend: { action: "report", payload: { year: 2026 }, background: true, startAt: 5 },
  part: { message: 1, index: 0, count: 2, text: "x" },
};

const REQUEST = {
  id: "r",
  action: "report",
  state: "RETRYING",
  attempt: 1,
  createdAt: 5,
  updatedAt: 6,
  progress: { percentage: 12.5, message: "Reading", details: { row: 1 } },
  error: ERROR,
};

/** An answer to each action with every field. */
const ANSWERS: {
  readonly [Name in keyof Results as Name extends keyof typeof RESULTS ? Name : never]: Sample;
} = {
  subscribe: {
    channels: [
      { channel: "room:a", position: POSITION, recovered: true, messages: [MESSAGE], more: true, live: LIVE },
      { channel: "room:b", error: ERROR },
    ],
  },
  unsubscribe: {},
  publish: { id: "m", position: POSITION },
  history: { messages: [MESSAGE], position: POSITION, recovered: false, more: true },
  presence: { users: [{ user: "ada", since: 5, state: { mood: "x" } }], more: false },
  set_presence: {},
  stream_start: { live: LIVE },
  stream_end: {},
  stream: { live: LIVE },
  heartbeat: { heads: { "room:a": POSITION } },
  refresh: { expiresAt: 5 },
  upload: { blob: "b", url: "https://a.example", headers: { "content-type": "image/png" }, expiresAt: 5 },
  download: { url: "https://a.example", expiresAt: 5 },
  request: { ...REQUEST, result: { rows: 1 }, result_bytes: 9, output: 2 },
  result: { text: "{", more: true },
  requests: { requests: [REQUEST], next: "r" },
  cancel: { state: "CANCELLED" },
  message: { id: "m", position: POSITION },
};

/** The parsed value as JSON, where Maps are objects. */
const toObject = (value: unknown) =>
  JSON.parse(JSON.stringify(value, (_, field) => (field instanceof Map ? Object.fromEntries(field) : field)));

const requiredFields = (schema: Schema) =>
  Object.entries((schema as ObjectSchema).fields ?? {})
    .filter(([, field]) => field.kind !== "optional")
    .map(([name]) => name);

const without = (sample: Sample, field: string) => ({ ...sample, [field]: undefined });

describe.each(Object.entries(PAYLOADS))("a request %s", (action, payload) => {
  const parse = (given: Sample) => parseRequest(JSON.stringify({ action, payload: given }));

  it("keeps every field, and no other", () => {
    const parsed = parse({ ...payload, unknown: 1 });
    expect(toObject(parsed)).toEqual({ action, payload });
  });

  it("refuses a wrong value in each field", () => {
    for (const field of Object.keys(payload)) {
      // Any JSON is right in these.
      if (["data", "state", "payload"].includes(field)) continue;
      expect(() => parse({ ...payload, [field]: [null] }), field).toThrow(ProtocolError);
    }
  });
});

describe.each(Object.entries(ANSWERS))("the answer to %s", (action, answer) => {
  const schema: Schema = RESULTS[action as keyof typeof RESULTS];

  it("keeps every field, and no other", () => {
    expect(parseValue(schema, { ...answer, unknown: 1 }, "data")).toEqual(answer);
  });

  it("has its required fields", () => {
    for (const field of requiredFields(schema)) {
      expect(() => parseValue(schema, without(answer, field), "data"), field).toThrow(ProtocolError);
    }
  });
});

describe("limits of requests", () => {
  const accepts = (action: keyof typeof PAYLOADS, fields: Sample) => {
    try {
      parseRequest(JSON.stringify({ action, payload: { ...PAYLOADS[action], ...fields } }));
      return true;
    } catch (error) {
      if (error instanceof ProtocolError) return false;
      throw error;
    }
  };
  const text = (length: number) => "x".repeat(length);
  const channels = (length: number) => Array.from({ length }, (_, at) => `room:${at}`);

  it.each<[keyof typeof PAYLOADS, string, unknown, unknown]>([
    [
      "subscribe",
      "channels",
      [{ channel: "room:a", recent: LIMITS.messages }],
      [{ channel: "room:a", recent: 101 }],
    ],
    ["unsubscribe", "channels", channels(LIMITS.channels), channels(LIMITS.channels + 1)],
    ["unsubscribe", "channels", channels(1), []],
    ["publish", "key", text(LIMITS.idBytes), text(LIMITS.idBytes + 1)],
    ["publish", "key", text(1), ""],
    ["history", "limit", LIMITS.messages, LIMITS.messages + 1],
    ["history", "limit", 1, 0],
    ["presence", "after", text(LIMITS.userBytes), text(LIMITS.userBytes + 1)],
    ["presence", "after", text(1), ""],
    ["set_presence", "state", text(LIMITS.stateBytes - 2), text(LIMITS.stateBytes - 1)],
    ["stream_start", "data", text(LIMITS.streamBytes - 2), text(LIMITS.streamBytes - 1)],
    ["refresh", "token", text(LIMITS.tokenBytes), text(LIMITS.tokenBytes + 1)],
    ["refresh", "token", text(1), ""],
    ["upload", "bytes", 1, 0],
    ["result", "from", 0, -1],
    ["requests", "limit", LIMITS.requests, LIMITS.requests + 1],
    ["requests", "limit", 1, 0],
    ["resend", "startAt", 0, -1],
    ["part", "message", 1, 0],
    ["part", "count", LIMITS.parts, LIMITS.parts + 1],
    ["part", "text", text(LIMITS.clientFrameBytes), text(LIMITS.clientFrameBytes + 1)],
  ])("%s accepts %s up to its limit", (action, field, accepted, refused) => {
    expect([accepts(action, { [field]: accepted }), accepts(action, { [field]: refused })]).toEqual([
      true,
      false,
    ]);
  });

  it("history takes either `after` or `before`", () => {
    expect(accepts("history", { after: undefined, before: 1 })).toBe(true);
    expect(accepts("history", { after: undefined, before: 0 })).toBe(false);
    expect(accepts("history", { before: 1 })).toBe(false);
  });

  it("a heartbeat has the positions of as many channels as a subscription", () => {
    const positions = (count: number) => Object.fromEntries(channels(count).map((name) => [name, POSITION]));
    expect(accepts("heartbeat", { positions: positions(LIMITS.channels) })).toBe(true);
    expect(accepts("heartbeat", { positions: positions(LIMITS.channels + 1) })).toBe(false);
  });
});

it("the answer to a legacy client's message may be empty", () => {
  expect(parseAs(RESULTS.message, {}, "data")).toEqual({});
});
