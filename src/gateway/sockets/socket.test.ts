import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { Writable } from "node:stream";
import { describe, expect, it, vi } from "vitest";
import { ManualClock } from "../clock.ts";
import { readOptions } from "../read-options.ts";
import type { CloseReason } from "./close-codes.ts";
import { textFrame } from "./frames.ts";
import { type ClientSocket, LiveConnection } from "./socket.ts";

const GRACE_MS = 10_000;

/** A transport that accepts one write at a time, on request. */
class SlowTransport extends Writable {
  #taken: (() => void) | undefined;

  override _write(_chunk: unknown, _encoding: string, taken: () => void): void {
    this.#taken = taken;
  }

  async takeOne(): Promise<void> {
    this.#taken?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function connect() {
  const clock = new ManualClock();
  const transport = new SlowTransport();
  const endings: CloseReason[] = [];
  const socket = Object.assign(new EventEmitter(), { close() {}, terminate() {}, pause() {} });
  const origin = {
    connectionId: "Xux7aeaAFiACHZQ=",
    connectedAt: clock.now(),
    startedAt: clock.elapsed(),
    sourceIp: "127.0.0.1",
    userAgent: undefined,
    domainName: "localhost",
    authorizer: undefined,
  };
  const limits = { bufferBytes: 100, slowClientMs: GRACE_MS };
  const connection = new LiveConnection(
    socket as unknown as ClientSocket,
    transport as unknown as Socket,
    origin,
    readOptions({ handler: () => ({ statusCode: 200 }), clock, limits }),
    { onMessage: () => {}, onClose: (_connection, ending) => endings.push(ending) },
  );
  return {
    clock,
    socket,
    transport,
    connection,
    endings,
    post: (bytes = 60) => connection.send(textFrame("x".repeat(bytes - 2), 100)),
  };
}

describe("LiveConnection", () => {
  it("disconnects a client that stays over its buffer for the grace period", () => {
    const { clock, post, endings } = connect();
    expect([post(), post(), post()]).toEqual(["sent", "sent", "full"]);
    clock.advance(GRACE_MS - 1);
    expect(endings).toEqual([]);
    clock.advance(1);
    expect(endings).toEqual([expect.objectContaining({ code: 1008 })]);
  });

  it("treats a buffer at exactly its limit as full", () => {
    const { clock, post, endings } = connect();
    expect([post(50), post(50), post(50)]).toEqual(["sent", "sent", "full"]);
    clock.advance(GRACE_MS);
    expect(endings).toHaveLength(1);
  });

  it("leaves no timer when it closes", () => {
    const { clock, connection, post } = connect();
    post();
    post();
    expect(clock.pending).toBe(1);
    connection.close({ code: 1001, reason: "Going away" } as CloseReason);
    expect(clock.pending).toBe(0);
  });

  it("reads at most 1 MB of a client that it has closed", () => {
    const { connection, socket, transport } = connect();
    const pause = vi.spyOn(socket, "pause");
    connection.close({ code: 1001, reason: "Going away" } as CloseReason);
    for (let half = 0; half < 2; half++) transport.emit("data", Buffer.alloc(512 * 1024));
    expect(pause).not.toHaveBeenCalled();
    transport.emit("data", Buffer.alloc(1));
    expect(pause).toHaveBeenCalledOnce();
  });

  it("keeps a client that is below its buffer again, even if it has not caught up", async () => {
    const { clock, transport, post, endings } = connect();
    post();
    post();
    await transport.takeOne();
    clock.advance(GRACE_MS);
    expect([endings, transport.writableLength]).toEqual([[], 60]);
  });

  it("starts a new grace period when a client falls behind again", async () => {
    const { clock, transport, post, endings } = connect();
    post();
    post();
    clock.advance(GRACE_MS - 1);
    await transport.takeOne();
    post();
    clock.advance(GRACE_MS - 1);
    expect(endings).toEqual([]);
    clock.advance(1);
    expect(endings).toHaveLength(1);
  });
});
