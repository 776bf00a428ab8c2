// The bundled functions of examples/migration, one conversation on each of the three ways.
import { on, once } from "node:events";
import { join } from "node:path";
import { CreateTableCommand } from "@aws-sdk/client-dynamodb";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { CONNECTION_TABLE, REQUEST_TABLE } from "../../examples/migration/by-hand/tables.ts";
import { LambdaFunction } from "../../src/lambda-emulator/index.ts";
import { bundle } from "../../tools/bundle.mjs";
import { Project } from "../process/project.ts";
import { localClient } from "./connection-table.ts";

const EXAMPLE = join(import.meta.dirname, "../../examples/migration");
const SECRET = Buffer.alloc(32, 7);

const BY_HAND = { functions: ["connect", "disconnect", "router"], isLift: false };
const WAYS = [
  ["by-hand", BY_HAND],
  ["old-pattern", BY_HAND],
  ["lift", { functions: ["connect", "disconnect", "router", "dispatch", "worker"], isLift: true }],
] as const;

describe.each(WAYS)("the functions of %s", (way, { functions, isLift }) => {
  const environment = {
    CONNECTIONS_TABLE: `${way}-connections`,
    REQUESTS_TABLE: `${way}-requests`,
    MESSAGES_TABLE: `${way}-messages`,
    MEMBERS_TABLE: `${way}-members`,
    SCHEDULE_TABLE: `${way}-schedule`,
    TOKEN_SECRET: SECRET.toString("base64url"),
    TOKEN_ISSUER: "https://issuer.example",
    TOKEN_AUDIENCE: "streamer-api",
  };
  let project: Project;
  let url: string;

  beforeAll(async () => {
    project = await Project.create({
      ".env": Object.entries(environment)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(""),
    });
    const client = localClient();
    if (!isLift) {
      const { CONNECTIONS_TABLE, REQUESTS_TABLE } = environment;
      await client.send(new CreateTableCommand({ TableName: CONNECTIONS_TABLE, ...CONNECTION_TABLE }));
      await client.send(new CreateTableCommand({ TableName: REQUESTS_TABLE, ...REQUEST_TABLE }));
    }
    await Promise.all(functions.map((name) => bundleFunction(name)));
    const endpoint = inject("dynamoDBEndpoint");
    const lift = await project.dev(
      ["--lambda", "functions", "--env-file", ".env", "--dynamodb-endpoint", endpoint],
      { AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" },
    );
    url = lift.url;
  });

  afterAll(() => project?.remove());

  const bundleFunction = (name: string, folder = `functions/${name}`) =>
    bundle(join(EXAMPLE, way, "lambda", `${name}.ts`), join(project.directory, folder));

  it("refuse a client without a token", async () => {
    await expect(project.connect(url)).rejects.toThrow("refused with 401");
  });

  it("answer a message", async () => {
    const socket = await project.connect(`${url}?Authorization=${await createToken()}`);
    socket.send(JSON.stringify({ id: "e1", action: "echo", payload: "hello" }));
    const [data] = await once(socket, "message");
    expect(JSON.parse(String(data))).toMatchObject({ request_id: "e1", data: { echo: "hello" } });
  });

  if (isLift) {
    it("run a report", async () => {
      const socket = await project.connect(`${url}?Authorization=${await createToken()}`);
      const payload = { start_date: "2026-01-01", end_date: "2026-01-03" };
      socket.send(JSON.stringify({ id: "r1", action: "generate_report", payload }));
      for await (const [data] of on(socket, "message")) {
        const frame = JSON.parse(String(data));
        if (frame.type !== "complete" && frame.type !== "error") continue;
        expect(frame).toMatchObject({ type: "complete", result: { days: 3 } });
        break;
      }
    });
  } else {
    // `lift-ws dev` has no stream for it.
    it("have a processor, which starts and takes no records", async () => {
      await bundleFunction("processor", "processor");
      const processor = new LambdaFunction({
        name: "processor",
        directory: join(project.directory, "processor"),
        environment,
      });
      expect(await processor.invoke({ Records: [] })).toEqual({ batchItemFailures: [] });
      await processor.stop();
    });
  }
});

function createToken(): Promise<string> {
  return new SignJWT({ tenant_id: "acme" })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject("ada")
    .setIssuer("https://issuer.example")
    .setAudience("streamer-api")
    .setExpirationTime("3h")
    .sign(SECRET);
}
