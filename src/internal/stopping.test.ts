import { expect, it } from "vitest";
import { isForeground } from "./stopping.ts";

it.each(["node server.mjs", "exec node .", "lift-ws dev app.mjs", "npm run build && node server.mjs 2>&1"])(
  "a process of the script %s ends with npm",
  (script) => expect(isForeground(script)).toBe(true),
);

it.each([
  undefined,
  "",
  "node server.mjs & wait-on tcp:3001",
  "lift-ws dev app.mjs&",
  "./serve.sh",
  "vitest",
])("a process of the script %s may outlive npm", (script) => expect(isForeground(script)).toBe(false));
