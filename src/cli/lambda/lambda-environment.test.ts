import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { startLambdaEnvironment } from "./lambda-environment.ts";

it("stops what it has started when the set-up fails", async () => {
  const directory = await mkdtemp(join(tmpdir(), "lift-ws-lambda-"));
  vi.spyOn(process, "cwd").mockReturnValue(directory);
  await mkdir(join(directory, ".lift-ws"), { mode: 0o700 });
  await writeFile(join(directory, ".lift-ws/secret"), "too short", { mode: 0o600 });
  await mkdir(join(directory, "functions/router"), { recursive: true });
  await writeFile(join(directory, "functions/router/index.mjs"), "export const handler = () => {};");
  const settings = {
    folder: join(directory, "functions"),
    environment: {},
    dynamoDBEndpoint: "http://127.0.0.1:1",
    ...{ tickMs: 60_000, timeoutMs: 1_000, processes: 1 },
  };
  const api = {
    ...{ endpoint: "http://127.0.0.1:1/dev", host: "127.0.0.1", region: "us-east-1" },
    ...{
      apiHosts: { names: [], httpsNames: [], gateway: { host: "127.0.0.1", port: 1 } },
      credentials: undefined,
    },
  };
  const listen = vi.spyOn(Server.prototype, "listen");
  await expect(startLambdaEnvironment(settings, api, process)).rejects.toThrow("secret is damaged");
  expect(listen.mock.contexts.map((server) => (server as Server).listening)).toEqual([false]);
  await rm(directory, { recursive: true });
});
