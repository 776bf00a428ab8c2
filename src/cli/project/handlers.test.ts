import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { isLiftApp, loadError, parseReference, pickExport } from "./handlers.ts";

const here = import.meta.dirname;
const reference = { file: join(here, "x.mjs"), exportName: undefined };
const handler = () => ({ statusCode: 200 });
const other = () => ({ statusCode: 201 });
const app = { routeKeys: ["$connect"], webSocketHandler: () => handler };

describe("a reference", () => {
  it("is a path relative to its base, with an export after #", () => {
    const file = join(here, "modules.ts");
    expect(parseReference("./modules.ts", here)).toEqual({ file, exportName: undefined });
    expect(parseReference("../project/modules.ts#run", here)).toEqual({ file, exportName: "run" });
    expect(parseReference(`${file}#run`, "/")).toEqual({ file, exportName: "run" });
  });

  it("to a missing file is an error", () => {
    expect(() => parseReference("./gone.ts#run", here)).toThrow(
      "Cannot find the module src/cli/project/gone.ts",
    );
  });
});

describe("a reference to a file that is not a module", () => {
  it.each(["../../../README.md", "../../../package.json", "../project"])("is an error: %s", (path) => {
    expect(() => parseReference(path, here)).toThrow("is not a module; expected a .js");
  });
});

describe("pickExport", () => {
  it.each([
    ["the first of the names", { default: handler, handler: other }, ["default", "handler"], handler],
    ["the next when that is missing", { handler: other }, ["default", "handler"], other],
    ["the next when that is not a function", { default: { a: 1 }, handler }, ["default", "handler"], handler],
    ["a Lift app", { default: app }, ["default", "handler"], app],
    ["a named export of CommonJS", { default: { handler } }, ["default", "handler"], handler],
    ["the function that CommonJS exports", { default: handler }, ["default", "handler"], handler],
    ["a compiled module's default", { default: { default: handler } }, ["default", "handler"], handler],
  ])("returns %s", (_, exports, names, expected) => {
    expect(pickExport(exports, reference, names)).toBe(expected);
  });

  it("returns the named export, and no other", () => {
    const asked = { ...reference, exportName: "other" };
    expect(pickExport({ default: handler, other }, asked, ["default"])).toBe(other);
    expect(() => pickExport({ default: handler, handler }, asked, ["default"])).toThrow(
      "src/cli/project/x.mjs exports no function or Lift app as other; it exports default, handler",
    );
  });

  it("throws when the module has no handler, and lists its exports", () => {
    expect(() => pickExport({}, reference, ["default", "handler"])).toThrow(
      "exports no function or Lift app as default or handler; it exports nothing",
    );
  });
});

describe("isLiftApp", () => {
  it.each([undefined, null, 1, {}, handler, { webSocketHandler: handler }, { ...app, routeKeys: undefined }])(
    "returns false for %j",
    (value) => {
      expect(isLiftApp(value)).toBe(false);
    },
  );
});

describe("a handler in the form of a template", () => {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-c#-"));
  for (const name of ["app.mjs", "two.dots.mjs", "mod.ts"]) writeFileSync(join(folder, name), "");
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([
    ["app.handler", "app.mjs", "handler"],
    ["./app.api.get", "app.mjs", "api.get"],
    ["mod.handler", "mod.ts", "handler"],
    ["app.mjs", "app.mjs", undefined],
    ["two.dots.mjs", "two.dots.mjs", undefined],
    ["two.dots.mjs#get", "two.dots.mjs", "get"],
  ])("%s is %s and its export %s", (text, file, exportName) => {
    expect(parseReference(text, folder)).toEqual({ file: join(folder, file), exportName });
  });

  it.each(["gone.handler", "app.js", "gone.mjs"])("%s is rejected when the file does not exist", (text) => {
    expect(() => parseReference(text, folder)).toThrow("Cannot find the module");
  });

  it("can name an export in an object", () => {
    const api = { get: handler };
    expect(pickExport({ api }, { ...reference, exportName: "api.get" }, [])).toBe(handler);
  });
});

it("runs a Streamer's app", () => {
  expect(pickExport({ default: { app, describe: () => ({}) } }, reference, ["default"])).toBe(app);
});

describe("a module that cannot be loaded", () => {
  const reference = { file: "/project/app.ts", exportName: undefined };

  it("causes an error of one line, with the remedy, when a store could not be opened", () => {
    const cause = Object.assign(new Error("/data/chat.db is in use by another process: stop that one"), {
      name: "StoreError",
    });
    const error = loadError(reference, cause);
    expect(error.message).toBe(
      "/project/app.ts cannot be loaded: /data/chat.db is in use by another process: stop that one",
    );
    expect(error.cause).toBeUndefined();
  });

  it("causes an error with any other error as its cause", () => {
    const cause = new Error("broken");
    expect(loadError(reference, cause)).toMatchObject({
      message: "/project/app.ts cannot be loaded:",
      cause,
    });
  });
});
