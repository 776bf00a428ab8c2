import { once } from "node:events";
import { expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { ManualClock } from "../../gateway/index.ts";
import { Lift } from "../../lift/index.ts";
import { DevHost } from "./host.ts";

/** Serves version 1 of an app. Its events and ticks wait for `release`; `log` has what all versions do. */
async function serve() {
  const log: string[] = [];
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const load = (version: number) => {
    const wait = async () => {
      log.push(`${version} waits`);
      await released;
      log.push(`${version} ends`);
    };
    const app = new Lift()
      .webSocket("wait", wait)
      .webSocket("version", (ctx) => ctx.reply(version))
      .onStop(() => log.push(`${version} stops`));
    if (version === 1) app.everyTick(wait);
    return { kind: "app", app } as const;
  };
  const clock = new ManualClock();
  const host = new DevHost(load(1), { clock }, (error) => log.push(String(error)));
  await host.gateway.listen({ port: 0 });
  const socket = new WebSocket(host.gateway.url);
  onTestFinished(async () => {
    release();
    socket.terminate();
    await host.gateway.close({ spreadMs: 0 });
  });
  await once(socket, "open");
  const send = (action: string) => socket.send(JSON.stringify({ action }));
  const until = async (line: string) => {
    while (!log.includes(line)) await new Promise(setImmediate);
  };
  return { host, clock, socket, log, release, send, until, reload: () => host.replace(load(2)) };
}

it("stops an app once: after a reload, or with the host", async () => {
  const { host, reload, log, until } = await serve();
  reload();
  await until("1 stops");
  await host.stop();
  expect(log).toEqual(["1 stops", "2 stops"]);
});

it.each<[string, (parts: Awaited<ReturnType<typeof serve>>) => void]>([
  ["event", ({ send }) => send("wait")],
  ["tick", ({ clock }) => clock.advance(1_000)],
])("stops the previous app when its running %s has ended", async (_name, start) => {
  const parts = await serve();
  const { host, socket, log, release, send, until } = parts;
  start(parts);
  await until("1 waits");
  parts.reload();
  send("version");
  expect(String((await once(socket, "message"))[0])).toBe("2");
  expect(log).toEqual(["1 waits"]);
  release();
  await until("1 stops");
  expect(log).toEqual(["1 waits", "1 ends", "1 stops"]);
  await host.stop();
  expect(log.slice(3)).toEqual(["2 stops"]);
});

it("stops a previous app whose event does not end with the host", async () => {
  const { host, log, send, until, reload } = await serve();
  send("wait");
  await until("1 waits");
  reload();
  await host.stop();
  expect(log.sort()).toEqual(["1 stops", "1 waits", "2 stops"]);
});
