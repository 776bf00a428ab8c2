import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileRouteSelector } from "./route.ts";

const select = (expression: string, body: unknown) => compileRouteSelector(expression)(JSON.stringify(body));

describe("compileRouteSelector", () => {
  it.each([
    ["$request.body.action", { action: "join" }, "join"],
    ["${request.body.action}", { action: "join" }, "join"],
    ["$request.body.a.b", { a: { b: "deep" } }, "deep"],
    ["${request.body.a.b}", { a: { b: "deep" } }, "deep"],
    ["$request.body.list[1].name", { list: [{}, { name: "second" }] }, "second"],
    ["$request.body.list[10]", { list: [...Array(10).fill("x"), "eleventh"] }, "eleventh"],
    ["$request.body['odd.name']", { "odd.name": "quoted" }, "quoted"],
    ["${request.body.service}/${request.body.method}", { service: "chat", method: "send" }, "chat/send"],
    ["$request.body.action/v1", { action: "join" }, "join/v1"],
    ["v1-$request.body.action", { action: "join" }, "v1-join"],
    ["$request.body.a $request.body.b", { a: "x", b: "y" }, "x y"],
    ["\\$$request.body.action", { action: "join" }, "$join"],
    ["\\${request.body.action}$request.body.action", { action: "x" }, "${request.body.action}x"],
  ])("reads %s from %j as %s", (expression, body, key) => {
    expect(select(expression, body)).toBe(key);
  });

  it.each([
    [7, "7"],
    [true, "true"],
    [null, "null"],
    [{ b: 1 }, '{"b":1}'],
    [["x"], '["x"]'],
  ])("converts the value %j to a string", (value, key) => {
    expect(select("$request.body.action", { action: value })).toBe(key);
  });

  it.each([{}, { other: 1 }, [], "text", 5, null])("finds nothing in %j, so the key is empty", (body) => {
    expect(select("$request.body.action", body)).toBe("");
  });

  it("selects nothing from text that is not JSON", () => {
    expect(compileRouteSelector("$request.body.action")("{action: join}")).toBeUndefined();
  });

  it.each(["constructor", "__proto__", "toString", "hasOwnProperty"])(
    "does not find Object's own %s",
    (name) => {
      expect(select(`$request.body.${name}`, {})).toBe("");
      expect(select(`$request.body.a.${name}`, { a: "text" })).toBe("");
    },
  );

  it("finds a message's own field __proto__", () => {
    expect(compileRouteSelector("$request.body.__proto__")('{"__proto__":"mine"}')).toBe("mine");
  });

  it("evaluates once: an expression in a message is text", () => {
    expect(select("$request.body.action", { action: "$request.body.secret", secret: "x" })).toBe(
      "$request.body.secret",
    );
  });

  it.each([
    "",
    "static",
    "$context.stage",
    "$",
    "$request.header.x",
    "${request.body.a[}",
    "$request.body.x$",
  ])("refuses the expression %j", (expression) => {
    expect(() => compileRouteSelector(expression)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });

  it("returns a string or undefined for any text, and never throws", () => {
    const selectors = ["$request.body.action", "${request.body.a[0].b}-x", "$request.body.__proto__.x"].map(
      compileRouteSelector,
    );
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.json({ maxDepth: 8 })), (text) => {
        for (const selector of selectors) expect(["string", "undefined"]).toContain(typeof selector(text));
      }),
    );
  });

  it("finds the same values as JSON.parse, in any object", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), fc.string()),
        fc.stringMatching(/^[a-z]{1,3}$/),
        (body, key) => {
          expect(select(`$request.body.${key}`, body)).toBe(Object.hasOwn(body, key) ? body[key] : "");
        },
      ),
    );
  });

  it("returns an empty key for a value nested too deeply to serialize", () => {
    const depth = 60_000;
    expect(
      typeof compileRouteSelector("$request.body.a")(`{"a":${"[".repeat(depth)}${"]".repeat(depth)}}`),
    ).toBe("string");
  });
});
