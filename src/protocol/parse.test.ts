import { describe, expect, it, vi } from "vitest";
import { LIMITS, ProtocolError, parseMessage, parseRequest } from "./index.ts";
import { parseAs, parseObject, parseValue, toProtocolError, ValidationError } from "./parse.ts";
import {
  boolean,
  channel,
  constant,
  integer,
  json,
  list,
  map,
  number,
  object,
  oneOf,
  optional,
  record,
  type Schema,
  text,
  union,
} from "./schema.ts";

function refusal(action: () => unknown): ProtocolError {
  try {
    action();
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  throw new Error("It was accepted");
}

const format = { pattern: /^\w+$/, message: "must be a word" };
const WORD = { ...text(), format };
const WELL_FORMED = { ...text(), wellFormed: true as const };
const EITHER = object({ a: optional(integer(0)), b: optional(integer(0)) }, { notBoth: ["a", "b"] });
const PART = object({ index: integer(0), count: integer(0) }, { ascending: ["index", "count"] });
const LIST_BY_NAME = list(object({ name: text() }), 0, 9, "name");

describe("parseAs", () => {
  it.each<[string, Schema, unknown]>([
    ["text of any length", text(), ""],
    ["text of the least bytes", text(2, 4), "é"],
    ["text of the most bytes", text(2, 4), "éé"],
    ["half a character, unless the text must be well-formed", text(), "\ud800"],
    ["a well-formed text", WELL_FORMED, "\u{1F600}"],
    ["text of a format", WORD, "abc"],
    ["a channel", channel, "room:a"],
    ["the least integer", integer(1, 5), 1],
    ["the greatest integer", integer(1, 5), 5],
    ["true", boolean, true],
    ["false", boolean, false],
    ["null as JSON", json(), null],
    ["JSON of the most bytes", json(4), "é"],
    ["JSON nested to the limit", json(), nested(LIMITS.depth)],
    ["a constant", constant("x"), "x"],
    ["one of several texts", oneOf("a", "b"), "b"],
    ["a list of the least items", list(boolean, 1, 2), [true]],
    ["a list of the most items", list(boolean, 1, 2), [true, false]],
    ["a list without a maximum", list(boolean), Array(1_000).fill(true)],
    ["a list with the same item twice", list(boolean), [true, true]],
    ["a list that names each once", LIST_BY_NAME, [{ name: "a" }, { name: "b" }]],
    ["a record", record(boolean), { a: true, b: false }],
    ["an object without its optional field", object({ a: optional(text()) }), {}],
    ["null in an optional field of JSON", object({ a: optional(json()) }), { a: null }],
    ["either of two fields", EITHER, { b: 1 }],
    ["ascending fields", PART, { index: 1, count: 2 }],
  ])("accepts %s", (_, schema, value) => {
    expect(parseValue(schema, value, "")).toEqual(value);
  });

  it("returns a map for keys of the client's choice", () => {
    const parsed = parseAs(map(channel, integer(0), 2), { "room:a": 1, "room:b": 2 }, "");
    expect(parsed).toEqual(
      new Map([
        ["room:a", 1],
        ["room:b", 2],
      ]),
    );
  });

  it("reads no field from a prototype", () => {
    const schema = object({ toString: optional(json()), admin: optional(boolean) });
    expect(parseAs(schema, Object.create({ admin: true }), "")).toEqual({});
  });

  it.each<[string, Schema, unknown, string, string]>([
    ["a number as text", text(), 1, "", "must be text"],
    ["text of too few bytes", text(2, 4), "a", "", "must have 2 to 4 bytes"],
    ["text of too many bytes", text(2, 4), "ééa", "", "must have 2 to 4 bytes"],
    ["half a character", WELL_FORMED, "a\ud800", "", "must not end within a character"],
    ["another format", WORD, "a b", "", "must be a word"],
    ["a channel without a name", channel, "room", "", "must be a channel, namespace:name"],
    ["a number as a channel", channel, 1, "", "must be a channel, namespace:name"],
    ["a channel in a list", channel, ["room:a"], "", "must be a channel, namespace:name"],
    ["too small an integer", integer(1, 5), 0, "", "must be an integer from 1 to 5"],
    ["too great an integer", integer(1, 5), 6, "", "must be an integer from 1 to 5"],
    ["a fraction", integer(1, 5), 1.5, "", "must be an integer from 1 to 5"],
    ["a number as text", integer(1, 5), "2", "", "must be an integer from 1 to 5"],
    ["too great a number", number(0, 100), 100.5, "", "must be a number from 0 to 100"],
    ["text as a boolean", boolean, "true", "", "must be true or false"],
    ["no JSON", json(), undefined, "", "is missing"],
    ["JSON of too many bytes", json(4), "éa", "", "must have at most 4 bytes"],
    [
      "JSON nested too deep",
      json(),
      nested(LIMITS.depth + 1),
      "",
      "must not be nested deeper than 64 levels",
    ],
    [
      "JSON nested too deep behind a shallow value",
      json(),
      [1, nested(LIMITS.depth)],
      "",
      "must not be nested deeper than 64 levels",
    ],
    ["another constant", constant("x"), "y", "", "must be x"],
    ["none of several texts", oneOf("a", "b"), "c", "", "must be a, b"],
    ["an object as a list", list(boolean), {}, "", "must be a list"],
    ["a list of too few items", list(boolean, 1, 2), [], "", "must have 1 to 2 items"],
    ["a list of too many items", list(boolean, 1, 2), [true, true, true], "", "must have 1 to 2 items"],
    ["a wrong item", list(boolean), [true, 1], "[1]", "must be true or false"],
    ["a name twice", LIST_BY_NAME, [{ name: "a" }, { name: "a" }], "", "must name each name once"],
    ["a list as an object", object({}), [], "", "must be an object"],
    ["null as an object", object({}), null, "", "must be an object"],
    ["no object", object({}), undefined, "", "is missing"],
    ["an object without a required field", object({ a: json() }), {}, "a", "is missing"],
    ["a wrong field", object({ a: object({ b: text() }) }), { a: { b: 1 } }, "a.b", "must be text"],
    ["both of two fields", EITHER, { a: 1, b: 1 }, "", "must have one of a and b"],
    ["equal fields that must ascend", PART, { index: 2, count: 2 }, "index", "must be less than count"],
    ["too many keys", map(text(), boolean, 1), { a: true, b: true }, "", "must have at most 1 fields"],
    ["a wrong key", map(channel, boolean, 1), { a: true }, "", "must be a channel, namespace:name"],
    ["a wrong value of a map", map(text(), boolean, 1), { a: 1 }, '["a"]', "must be true or false"],
    ["a wrong value of a record", record(boolean), { a: 1 }, '["a"]', "must be true or false"],
    ["none of a union", union(text(), boolean), 1, "", "must be true or false"],
  ])("rejects %s", (_, schema, value, path, message) => {
    const error = refusal(() => parseValue(schema, value, "", "id-1"));
    expect(error).toMatchObject({ code: "VALIDATION_ERROR", requestId: "id-1", issue: { path, message } });
    expect(error.message).toBe(`${path === "" ? "The message" : path} ${message}`);
  });

  it("reports the path below the value's own", () => {
    const error = refusal(() => parseAs(object({ a: text() }), { a: 1 }, "payload"));
    expect(error.issue?.path).toBe("payload.a");
  });
});

describe("parseObject", () => {
  it("returns the fields of an object", () => {
    expect(parseObject('{"a":[1]}')).toEqual({ a: [1] });
  });

  it.each([
    ["{", "MALFORMED_JSON", "The message is not JSON"],
    ["[]", "VALIDATION_ERROR", "The message must be an object"],
    ["null", "VALIDATION_ERROR", "The message must be an object"],
  ])("rejects %s", (message, code, text) => {
    expect(refusal(() => parseObject(message))).toMatchObject({ code, message: text });
  });
});

describe("toProtocolError", () => {
  it("names the field of a validation error", () => {
    const error = toProtocolError(new ValidationError("a", "is missing"), "id-1");
    expect(error).toMatchObject({ code: "VALIDATION_ERROR", message: "a is missing", requestId: "id-1" });
  });

  it("returns other errors unchanged", () => {
    const error = new TypeError("not ours");
    expect(toProtocolError(error)).toBe(error);
  });
});

describe("parseRequest", () => {
  const upload = (contentType: string) =>
    JSON.stringify({ action: "upload", payload: { channel: "room:a", bytes: 1, contentType } });

  it.each(["image/png", "text/plain; charset=utf-8", "application/x.y+json;a=b-c; d=1", "a/b"])(
    "accepts the media type %s",
    (contentType) => {
      expect(parseRequest(upload(contentType))).toMatchObject({ payload: { contentType } });
    },
  );

  it.each([
    "image",
    "image/",
    "/png",
    "image/p ng",
    "image/png;",
    "image/png; charset",
    "image/png; =utf-8",
    "image/png; a=",
    "image/png;  a=b",
    "image/png\r\nx: y",
    "x image/png",
  ])("rejects the media type %j", (contentType) => {
    expect(refusal(() => parseRequest(upload(contentType))).issue).toEqual({
      path: "payload.contentType",
      message: "must be a media type, such as image/png",
    });
  });

  it("limits the state of legacy clients' presence, and of no other type", () => {
    const message = (type: string, bytes: number) =>
      JSON.stringify({
        action: "message",
        type,
        data: { channel: "stream:a", state: "x".repeat(bytes - 2) },
      });
    expect(parseRequest(message("presence", LIMITS.stateBytes))).toMatchObject({ action: "message" });
    expect(refusal(() => parseRequest(message("presence", LIMITS.stateBytes + 1))).issue?.path).toBe(
      "data.state",
    );
    expect(parseRequest(message("chat", LIMITS.stateBytes + 1))).toMatchObject({ action: "message" });
    expect(parseRequest(message("stream", LIMITS.stateBytes + 1))).toMatchObject({ action: "message" });
  });

  it("accepts legacy clients' streams in the namespace stream only", () => {
    const message = (type: string, name: string) =>
      JSON.stringify({ id: "1", action: "message", type, data: { channel: name } });
    expect(parseRequest(message("stream", "stream:a"))).toMatchObject({ id: "1", action: "message" });
    expect(parseRequest(message("chat", "room:a"))).toMatchObject({ id: "1", action: "message" });
    expect(refusal(() => parseRequest(message("stream", "room:a")))).toMatchObject({
      requestId: "1",
      message: "data.channel must be a channel of the namespace stream",
    });
  });
});

describe("parseMessage", () => {
  const parse = (message: object) => parseMessage(JSON.stringify(message), (action) => action === "report");

  it("parses a call of an action that the application has registered", () => {
    const options = { payload: { year: 2026 }, background: true, startAt: 5 };
    expect(parse({ id: "1", action: "report", ...options, more: 1 })).toStrictEqual({
      id: "1",
      action: "call",
      payload: { action: "report", ...options },
    });
    expect(parse({ action: "report" })).toStrictEqual({ action: "call", payload: { action: "report" } });
  });

  it("reads the id under its older name", () => {
    expect(parse({ request_id: "1", action: "report" })).toMatchObject({ id: "1" });
    expect(parse({ id: "1", request_id: "2", action: "report" })).toMatchObject({ id: "1" });
  });

  it("rejects a wrong option of a call, with the request's id", () => {
    expect(refusal(() => parse({ id: "1", action: "report", startAt: -1 }))).toMatchObject({
      code: "VALIDATION_ERROR",
      requestId: "1",
      issue: { path: "startAt" },
    });
  });

  it("parses a request of the protocol, without an id that it does not have", () => {
    expect(parse({ action: "heartbeat" })).toStrictEqual({ action: "heartbeat", payload: {} });
    expect(refusal(() => parse({ action: "unknown" })).code).toBe("NOT_FOUND");
  });

  it("reads the JSON of a message once", () => {
    const spy = vi.spyOn(JSON, "parse");
    parse({ action: "heartbeat" });
    expect(spy).toHaveBeenCalledTimes(1);
    spy.mockRestore();
  });
});

function nested(depth: number): unknown {
  return JSON.parse("[".repeat(depth) + "]".repeat(depth));
}
