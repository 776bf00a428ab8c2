import { once } from "node:events";
import { readFile } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { expect, it } from "vitest";
import { InvocationEventLoop } from "./callback-handlers.ts";

/** Runs `work` as an invocation, and resolves when its event loop is empty. */
function untilEmpty(work: () => void): Promise<void> {
  const loop = new InvocationEventLoop();
  return new Promise((resolve) => {
    loop.run(work);
    loop.whenEmpty(resolve);
  });
}

it("waits for timers, immediates and files, and for work that these start", async () => {
  const done: string[] = [];
  await untilEmpty(() => {
    setTimeout(() => setImmediate(() => readFile(import.meta.filename, () => done.push("file"))), 5);
    void Promise.resolve().then(() => setTimeout(() => done.push("timer"), 20));
  });
  expect(done.sort()).toEqual(["file", "timer"]);
});

it("waits for a socket until it is closed", async () => {
  const server = createServer((socket) => socket.end("bye").resume()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  let socket: Socket | undefined;
  await untilEmpty(() => {
    socket = connect(port, "127.0.0.1").resume();
  });
  expect(socket?.destroyed).toBe(true);
  server.close();
});

it("does not wait for work of other invocations, nor for unreferenced timers", async () => {
  const foreignTimer = setInterval(() => {}, 1_000);
  let own: NodeJS.Timeout | undefined;
  await untilEmpty(() => {
    own = setInterval(() => {}, 1_000).unref();
  });
  clearInterval(own);
  clearInterval(foreignTimer);
});

it("does not wait for a timer that is cleared", async () => {
  await untilEmpty(() => {
    const timer = setInterval(() => {}, 1_000);
    setTimeout(() => clearInterval(timer), 5);
  });
});
