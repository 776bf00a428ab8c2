import { resolve } from "node:path";
import { expect, it } from "vitest";
import { memoryChannelStore } from "../../store/memory/index.ts";
import { createStreamer } from "../../streamer/index.ts";
import type { ModuleExports } from "./modules.ts";
import { pickStreamer } from "./streamers.ts";

const streamer = createStreamer({ channels: { room: {} }, store: memoryChannelStore() });
const other = createStreamer({ channels: { room: {} }, store: memoryChannelStore() });

function pick(exports: ModuleExports, exportName?: string) {
  return pickStreamer(exports, { file: resolve("app.mjs"), exportName });
}

it.each([
  ["the only one", { streamer, port: 1 }, undefined],
  ["one that goes by two names", { streamer, default: streamer }, undefined],
  ["the one that is named", { a: other, b: streamer }, "b"],
  ["that of a CommonJS module", { default: { streamer } }, undefined],
  ["that of a CommonJS module, named", { default: { a: other, streamer } }, "streamer"],
])("returns %s", (_what, exports, name) => {
  expect(pick(exports, name)).toBe(streamer);
});

it.each([
  [{}, undefined, "app.mjs exports no Streamer; it exports nothing: export the result of createStreamer"],
  [
    { handler: () => {}, app: streamer.app },
    undefined,
    "app.mjs exports no Streamer; it exports handler, app: export the result of createStreamer",
  ],
  [
    { a: streamer, b: other },
    undefined,
    "app.mjs exports several Streamers, a, b: name one, as in app.mjs#a",
  ],
  [{ streamer }, "x", "app.mjs has no export x; it exports streamer: export the result of createStreamer"],
  [
    { app: streamer.app },
    "app",
    "app.mjs#app is a Lift app, which does not describe its messages: export the result of createStreamer",
  ],
  [{ make: () => streamer }, "make", "app.mjs#make is a function: export the result of createStreamer"],
  [
    { later: Promise.resolve(streamer) },
    "later",
    "app.mjs#later is a promise: export the result of createStreamer",
  ],
  [{ one: 1 }, "one", "app.mjs#one is not a Streamer: export the result of createStreamer"],
])("throws with the remedy for %o and the export %s", (exports, name, message) => {
  expect(() => pick(exports, name)).toThrow(expect.objectContaining({ code: "USAGE", message }));
});
