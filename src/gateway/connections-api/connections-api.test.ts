import { expect, it } from "vitest";
import { parseConnectionsPath } from "./connections-api.ts";

it.each([
  ["/dev/@connections/abc%3D", { basePath: "dev", connectionId: "abc=" }],
  ["/dev/%40connections/a/b?x=1", { basePath: "dev", connectionId: "a/b" }],
  ["/@connections/abc", { basePath: "", connectionId: "abc" }],
])("reads %s", (url, expected) => {
  expect(parseConnectionsPath(url)).toEqual(expected);
});

it.each(["/dev/@connections", "/dev", "", "/dev/other/abc", "/dev/@connections/%"])(
  "finds no connection in %j",
  (url) => {
    expect(parseConnectionsPath(url)).toBeUndefined();
  },
);
