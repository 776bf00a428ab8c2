// Opens the files that earlier versions wrote; see test/fixtures/README.md.
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type SqliteChannelStore, sqliteChannelStore } from "lift-ws/store/sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  byId,
  CONTINUED,
  continueRequests,
  fileOf,
  NOW,
  REQUESTS,
  readRequests,
  VERSIONS,
} from "../fixtures/versions.ts";

const RETENTION = { size: 100, ageMs: 300_000 };
const CHANNEL = "room:lobby";

describe.each(VERSIONS)("a file of %s", (version) => {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-sqlite-"));
  let store: SqliteChannelStore;

  beforeAll(() => {
    // Opening migrates a file, so the tests work on a copy.
    const path = join(folder, "channels.db");
    copyFileSync(fileOf(version, "channels.db"), path);
    store = sqliteChannelStore({ path, now: () => NOW });
  });

  afterAll(() => {
    store.close();
    rmSync(folder, { recursive: true });
  });

  it("has a history", async () => {
    const page = await store.history.read(CHANNEL, { limit: 10, retention: RETENTION, now: NOW });
    expect(page).toEqual({
      head: { epoch: expect.any(String), offset: 3 },
      messages: [
        { id: "m1", data: { text: "hello é" }, userId: "ada", at: NOW, offset: 1 },
        { id: "m2", data: null, at: NOW + 1, offset: 2 },
        { id: "m3", data: ["x", 2.5], userId: "bob", at: NOW + 2, offset: 3 },
      ],
      more: false,
    });
  });

  it("has pending fan-outs with their checkpoints", async () => {
    const pending: unknown[] = [];
    for await (const { message, cursor } of store.history.listPendingFanOuts(NOW + 1_000)) {
      pending.push([message.id, cursor]);
    }
    expect(pending).toEqual([
      ["m2", "[3]"],
      ["m3", undefined],
    ]);
  });

  it("has idempotency keys, and its offsets continue", async () => {
    const message = { id: "m4", data: 4, at: NOW + 3, key: "k1" };
    expect(await store.history.append(CHANNEL, message, RETENTION)).toMatchObject({
      duplicate: true,
      message: { id: "m1", offset: 1 },
    });
    expect(await store.history.append(CHANNEL, { ...message, key: "k2" }, RETENTION)).toMatchObject({
      duplicate: false,
      message: { offset: 4 },
    });
  });

  // The version before kept none.
  if (version !== "0.1.0-early")
    it("has requests in each state, which go on", async () => {
      expect((await readRequests(store.requests)).sort(byId)).toEqual(REQUESTS.toSorted(byId));
      expect(await continueRequests(store.requests)).toMatchObject(CONTINUED);
    });
});
