import {
  DeleteConnectionCommand,
  ForbiddenException,
  GetConnectionCommand,
  GoneException,
  LimitExceededException,
  PayloadTooLargeException,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import { describe, expect, it, vi } from "vitest";
import { type ConnectionsCall, createGateway, ManualClock } from "../../src/gateway/index.ts";
import {
  type Api,
  connect,
  connectWithId,
  gate,
  type HttpAnswer,
  type HttpOptions,
  http,
  KEYS,
  ok,
  rejection,
  sdk,
  startApi,
} from "./harness.ts";
import { RawClient } from "./raw-client.ts";

/** A well-formed id without a connection. */
const NOBODY = "Xux7aeaAFiACHZQ=";

const post = (ConnectionId: string, Data: string | Uint8Array) =>
  new PostToConnectionCommand({ ConnectionId, Data });
const get = (ConnectionId: string) => new GetConnectionCommand({ ConnectionId });
const del = (ConnectionId: string) => new DeleteConnectionCommand({ ConnectionId });

type Call = (client: ReturnType<typeof sdk>, id: string) => Promise<unknown>;

const calls: [name: string, call: Call][] = [
  ["PostToConnection", (client, id) => client.send(post(id, "x"))],
  ["GetConnection", (client, id) => client.send(get(id))],
  ["DeleteConnection", (client, id) => client.send(del(id))],
];

/** A header in the form of a signature: a gateway without credentials checks no more. */
const SIGNED = {
  Authorization:
    `AWS4-HMAC-SHA256 Credential=${KEYS.accessKeyId}/20260101/us-east-1/execute-api/aws4_request, ` +
    `SignedHeaders=host;x-amz-date, Signature=${"0".repeat(64)}`,
};

function signed(api: Api, path: string, options: HttpOptions = {}): Promise<HttpAnswer> {
  return http(api.gateway, path, { ...options, headers: SIGNED });
}

const callsTo = (id: string) => `/dev/@connections/${encodeURIComponent(id)}`;

describe("PostToConnection", () => {
  it("delivers the text to the client", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    await sdk(api.gateway).send(post(id, "hello 👋🏽"));
    expect(await client.frames.next()).toEqual({ data: Buffer.from("hello 👋🏽"), isBinary: false });
  });

  it("delivers the raw bytes as a text frame", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    await sdk(api.gateway).send(post(id, new TextEncoder().encode('{"a":1}')));
    expect(await client.frames.next()).toEqual({ data: Buffer.from('{"a":1}'), isBinary: false });
  });

  it("gets 200 with an empty body as application/json", async () => {
    const api = await startApi();
    const { id } = await connectWithId(api);
    const { status, headers, body } = await signed(api, callsTo(id), { method: "POST", body: "x" });
    expect([status, headers["content-type"], body]).toEqual([200, "application/json", ""]);
  });

  it("delivers sequential messages in order", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    const management = sdk(api.gateway);
    for (const text of ["1", "2", "3"]) await management.send(post(id, text));
    expect(await client.messages.take(3)).toEqual(["1", "2", "3"]);
  });

  it("works from inside the handler of a message", async () => {
    const api: Api = await startApi({}, async ({ requestContext: { eventType, connectionId } }) => {
      if (eventType === "MESSAGE") await management.send(post(connectionId, "from the handler"));
      return ok;
    });
    const management = sdk(api.gateway);
    const { client } = await connectWithId(api);
    client.send("x");
    expect(await client.messages.next()).toBe("from the handler");
  });

  it("fails with GoneException before $connect has finished", async () => {
    const { opened, open } = gate<object>();
    const api = await startApi({}, () => opened);
    const connecting = connect(api.gateway);
    const { connectionId } = (await api.connects.next()).requestContext;
    expect(await rejection(sdk(api.gateway).send(post(connectionId, "x")))).toBeInstanceOf(GoneException);
    open(ok);
    await connecting;
  });
});

describe("GetConnection", () => {
  it("returns the address, the user agent, and both times as dates", async () => {
    const clock = new ManualClock(Date.UTC(2020, 10, 15, 12, 23, 14, 726));
    const api = await startApi({ clock });
    const { client, id } = await connectWithId(api, { headers: { "User-Agent": "Mozilla/5.0" } });
    clock.advance(246);
    client.send("x");
    await api.messages.next();
    const info = await sdk(api.gateway).send(get(id));
    expect(info).toMatchObject({
      ConnectedAt: new Date("2020-11-15T12:23:14.726Z"),
      LastActiveAt: new Date("2020-11-15T12:23:14.972Z"),
      Identity: { SourceIp: "127.0.0.1", UserAgent: "Mozilla/5.0" },
    });
  });

  it("gets 200 with the service's JSON, field by field", async () => {
    const api = await startApi({ clock: new ManualClock(Date.UTC(2020, 10, 15, 12, 23, 14, 726)) });
    const { id } = await connectWithId(api, { headers: { "User-Agent": "Mozilla/5.0" } });
    const { status, headers, body } = await signed(api, callsTo(id));
    expect([status, headers["content-type"], JSON.parse(body)]).toEqual([
      200,
      "application/json",
      {
        identity: { sourceIp: "127.0.0.1", userAgent: "Mozilla/5.0" },
        connectedAt: "2020-11-15T12:23:14.726Z",
        lastActiveAt: "2020-11-15T12:23:14.726Z",
      },
    ]);
  });
});

describe("DeleteConnection", () => {
  it("closes the connection", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    await sdk(api.gateway).send(del(id));
    expect((await client.closed).code).toBe(1000);
  });

  it("gets 204", async () => {
    const api = await startApi();
    const { id } = await connectWithId(api);
    const { status, body } = await signed(api, callsTo(id), { method: "DELETE" });
    expect([status, body]).toEqual([204, ""]);
  });

  it("gets no content type and no length with 204, which has no body", async () => {
    const api = await startApi();
    const { id } = await connectWithId(api);
    const { headers } = await signed(api, callsTo(id), { method: "DELETE" });
    expect(headers).not.toHaveProperty("content-type");
    expect(headers).not.toHaveProperty("content-length");
  });

  it("fails with GoneException the second time", async () => {
    const api = await startApi();
    const { id } = await connectWithId(api);
    const management = sdk(api.gateway);
    await management.send(del(id));
    expect(await rejection(management.send(del(id)))).toBeInstanceOf(GoneException);
  });

  it("accepts no close code or reason", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    await signed(api, `${callsTo(id)}?code=4000&reason=bye`, { method: "DELETE", body: '{"code":4000}' });
    expect((await client.closed).code).toBe(1000);
  });
});

describe.each(calls)("%s", (_name, call) => {
  it("fails with GoneException for a closed connection", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    client.socket.close();
    await api.disconnects.next();
    const error = await rejection(call(sdk(api.gateway), id));
    expect([error, error.name]).toEqual([expect.any(GoneException), "GoneException"]);
  });

  it("fails with GoneException for a well-formed id that never existed", async () => {
    const api = await startApi();
    expect(await rejection(call(sdk(api.gateway), NOBODY))).toBeInstanceOf(GoneException);
  });

  it.each(["x", "no-such-connection-id", "d2c1a6e0-5c1e-4f0e-9f5f-0a3f1f0c7b11", "Xux7aeaAFiACHZ=="])(
    "fails with BadRequestException for the malformed id %s",
    async (id) => {
      const api = await startApi();
      expect(await rejection(call(sdk(api.gateway), id))).toMatchObject({
        name: "BadRequestException",
        message: `Invalid connectionId: ${id}`,
        $metadata: { httpStatusCode: 400 },
      });
    },
  );

  it("fails with LimitExceededException over the request rate", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock, limits: { requestsPerSecond: 1, requestBurst: 1 } });
    await api.gateway.get(NOBODY);
    const error = await rejection(call(sdk(api.gateway), NOBODY));
    expect([error, error.name]).toEqual([expect.any(LimitExceededException), "LimitExceededException"]);
  });
});

describe("the payload of a post", () => {
  it("may have 131,072 bytes, which arrive in frames of 32 KB", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    const text = "x".repeat(131_072);
    await sdk(api.gateway).send(post(id, text));
    expect(await client.messages.next()).toBe(text);
  });

  it("fails with PayloadTooLargeException at 131,073 bytes", async () => {
    const api = await startApi();
    const { id } = await connectWithId(api);
    const error = await rejection(sdk(api.gateway).send(post(id, "x".repeat(131_073))));
    expect([error, error.name]).toEqual([expect.any(PayloadTooLargeException), "PayloadTooLargeException"]);
  });

  it("fails with PayloadTooLargeException at 8 MB too, and not with a broken pipe", async () => {
    const api = await startApi();
    const { id } = await connectWithId(api);
    const error = await rejection(sdk(api.gateway).send(post(id, new Uint8Array(8 * 1024 * 1024))));
    expect(error).toBeInstanceOf(PayloadTooLargeException);
  });

  it("is measured in bytes, not characters", async () => {
    const api = await startApi();
    const { id } = await connectWithId(api);
    const text = "ü".repeat(65_537);
    expect(await rejection(sdk(api.gateway).send(post(id, text)))).toBeInstanceOf(PayloadTooLargeException);
  });
});

describe("the responses of @connections", () => {
  it("for a closed connection is 410 without a body, with the error type in a header", async () => {
    const { status, headers, body } = await signed(await startApi(), callsTo(NOBODY));
    expect([status, headers["x-amzn-errortype"], body]).toEqual([410, "GoneException", ""]);
  });

  it("for a malformed id is 400 with the error type in a header and the message in the body", async () => {
    const { status, headers, body } = await signed(await startApi(), callsTo("nope"));
    expect([status, headers["x-amzn-errortype"], body]).toEqual([
      400,
      "BadRequestException",
      '{"message":"Invalid connectionId: nope"}',
    ]);
  });

  it("for too large a body is 413 with the error type in a header", async () => {
    const api = await startApi();
    const body = "x".repeat(131_073);
    const { status, headers } = await signed(api, callsTo(NOBODY), { method: "POST", body });
    expect([status, headers["x-amzn-errortype"]]).toEqual([413, "PayloadTooLargeException"]);
  });

  it("close the client's connection after too large a body only, because its rest stays unread", async () => {
    const api = await startApi();
    const headOf = async (body: Buffer) => {
      const client = new RawClient(api.gateway.port);
      const headers = { Host: "127.0.0.1", ...SIGNED, "Content-Length": String(body.length) };
      client.request(headers, `POST ${callsTo(NOBODY)} HTTP/1.1`, body);
      return client.head;
    };
    expect(await headOf(Buffer.alloc(131_072))).not.toMatch(/^connection: close/im);
    expect(await headOf(Buffer.alloc(131_073))).toMatch(/^connection: close/im);
  });

  it("over the request rate is 429 with the error type in a header", async () => {
    const clock = new ManualClock();
    const api = await startApi({ clock, limits: { requestsPerSecond: 1, requestBurst: 1 } });
    await api.gateway.get(NOBODY);
    const { status, headers } = await signed(api, callsTo(NOBODY));
    expect([status, headers["x-amzn-errortype"]]).toEqual([429, "LimitExceededException"]);
  });

  it.each([
    ["POST", 200],
    ["GET", 200],
    ["DELETE", 204],
  ])("to %s have the service's request ids, for successes and errors", async (method, status) => {
    const api = await startApi();
    const { id } = await connectWithId(api);
    const answers = [
      await signed(api, callsTo(id), { method }),
      await signed(api, callsTo(NOBODY), { method }),
    ];
    expect(answers.map((answer) => answer.status)).toEqual([status, 410]);
    for (const { headers } of answers) {
      expect(headers).toMatchObject({
        "x-amzn-requestid": expect.stringMatching(/^[0-9a-f-]{36}$/),
        "x-amz-apigw-id": expect.stringMatching(/^[\w-]{15}=$/),
      });
    }
  });

  it.each(["PUT", "PATCH", "OPTIONS"])("to the method %s is 403", async (method) => {
    expect((await signed(await startApi(), callsTo(NOBODY), { method })).status).toBe(403);
  });
});

describe("the path of @connections", () => {
  it.each([
    ["/dev/@connections/{id}", (id: string) => `/dev/@connections/${id}`],
    ["/dev/%40connections/{id}", (id: string) => `/dev/%40connections/${id}`],
    ["%3D in the id", (id: string) => `/dev/@connections/${id.replace("=", "%3D")}`],
    ["%3d in the id", (id: string) => `/dev/%40connections/${id.replace("=", "%3d")}`],
  ])("may be %s", async (_form, path) => {
    const api = await startApi();
    const { id } = await connectWithId(api);
    expect((await signed(api, path(id))).status).toBe(200);
  });

  it.each([
    "/prod/@connections/{id}",
    "/@connections/{id}",
    "/dev/prod/@connections/{id}",
    "/dev/connections/{id}",
  ])("is refused with 403 ForbiddenException as %s", async (template) => {
    const api = await startApi();
    const { id } = await connectWithId(api);
    const { status, headers } = await signed(api, template.replace("{id}", id));
    expect([status, headers["x-amzn-errortype"]]).toEqual([403, "ForbiddenException"]);
  });

  it("is refused with ForbiddenException when it has the wrong stage", async () => {
    const api = await startApi({ stage: "dev" });
    const { id } = await connectWithId(api);
    const endpoint = `http://127.0.0.1:${api.gateway.port}/prod`;
    const error = await rejection(sdk(api.gateway, { endpoint }).send(get(id)));
    expect([error, error.name]).toEqual([expect.any(ForbiddenException), "ForbiddenException"]);
  });

  it("may have a custom domain's base path in place of the stage", async () => {
    const api = await startApi({ stage: "prod", basePath: "chat.v1", credentials: KEYS });
    const { client, id } = await connectWithId(api);
    await sdk(api.gateway).send(post(id, "hi"));
    expect([await client.messages.next(), new URL(api.gateway.endpoint).pathname]).toEqual([
      "hi",
      "/chat.v1",
    ]);
    const endpoint = `http://127.0.0.1:${api.gateway.port}/prod`;
    expect(await rejection(sdk(api.gateway, { endpoint }).send(get(id)))).toBeInstanceOf(ForbiddenException);
  });
});

describe("the signature", () => {
  const secured = () => startApi({ credentials: KEYS });
  const getBy = async (api: Api, config: Parameters<typeof sdk>[1]) =>
    rejection(sdk(api.gateway, config).send(get(NOBODY)));

  it.each(calls)("with the right credentials is accepted for %s", async (_name, call) => {
    const api = await secured();
    const { id } = await connectWithId(api);
    expect(await call(sdk(api.gateway), id)).toBeDefined();
  });

  it("with any of several credentials is accepted", async () => {
    const second = { accessKeyId: "AKIDSECOND", secretAccessKey: "another" };
    const api = await startApi({ credentials: [KEYS, second] });
    expect(await getBy(api, { credentials: second })).toBeInstanceOf(GoneException);
  });

  it.each([
    ["the wrong secret", { credentials: { ...KEYS, secretAccessKey: "wrong" } }],
    ["an unknown key", { credentials: { ...KEYS, accessKeyId: "AKIDUNKNOWN" } }],
    ["a time six minutes ago", { systemClockOffset: -360_000 }],
    ["a time six minutes ahead", { systemClockOffset: 360_000 }],
    ["another region", { region: "eu-west-1" }],
  ])("with %s is refused with ForbiddenException", async (_what, config) => {
    const error = await getBy(await secured(), config);
    expect([error, error.name]).toEqual([expect.any(ForbiddenException), "ForbiddenException"]);
  });

  it("with the API's region is accepted", async () => {
    const api = await startApi({ credentials: KEYS, region: "eu-west-1" });
    expect(await getBy(api, { region: "eu-west-1" })).toBeInstanceOf(GoneException);
    expect(await getBy(api, { region: "us-east-1" })).toBeInstanceOf(ForbiddenException);
  });

  it("is accepted after four minutes", async () => {
    expect(await getBy(await secured(), { systemClockOffset: -240_000 })).toBeInstanceOf(GoneException);
  });

  it("covers the body, so another body is refused", async () => {
    const api = await secured();
    const { client, id } = await connectWithId(api);
    const management = sdk(api.gateway);
    management.middlewareStack.add(
      (next) => (args) => {
        (args.request as { body: unknown }).body = "other";
        return next(args);
      },
      // Change the body after it was signed.
      { step: "finalizeRequest", priority: "low" },
    );
    expect(await rejection(management.send(post(id, "right")))).toBeInstanceOf(ForbiddenException);
    await api.gateway.post(id, "mark");
    expect(await client.messages.next()).toBe("mark");
  });

  it("with a session token is accepted", async () => {
    const credentials = { ...KEYS, sessionToken: "IQoJb3JpZ2luX2VjEXAMPLE==" };
    expect(await getBy(await secured(), { credentials })).toBeInstanceOf(GoneException);
  });

  it.each(["POST", "GET", "DELETE"])("is required for %s, else 403 ForbiddenException", async (method) => {
    const api = await secured();
    const { id } = await connectWithId(api);
    const { status, headers } = await http(api.gateway, callsTo(id), { method });
    expect([status, headers["x-amzn-errortype"], api.gateway.size]).toEqual([403, "ForbiddenException", 1]);
  });

  it("is required on loopback without credentials too, where only its form is checked", async () => {
    const api = await startApi();
    const unsigned = await http(api.gateway, callsTo(NOBODY));
    expect([unsigned.status, (await signed(api, callsTo(NOBODY))).status]).toEqual([403, 410]);
  });

  it("is checked before the id, so an unsigned call does not reveal connections", async () => {
    const api = await secured();
    const { id } = await connectWithId(api);
    const answers = [id, NOBODY, "malformed"].map((one) => http(api.gateway, callsTo(one)));
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([403, 403, 403]);
  });
});

describe("beyond loopback", () => {
  it("the gateway does not listen without credentials", async () => {
    for (const host of ["0.0.0.0", "::", "127.999.1.1", "127.evil.example", "evil.localhost"]) {
      const gateway = createGateway({ handler: () => ok });
      expect(await rejection(gateway.listen({ port: 0, host }))).toMatchObject({
        code: "CREDENTIALS_REQUIRED",
      });
    }
  });
});

describe("the gateway object as the @connections port", () => {
  it("sends, describes and closes like the HTTP API", async () => {
    const api = await startApi({ clock: new ManualClock(1_000) });
    const { client, id } = await connectWithId(api);
    expect(await api.gateway.post(id, "hi")).toBe("sent");
    expect(await client.messages.next()).toBe("hi");
    expect(await api.gateway.get(id)).toEqual({
      connectedAt: 1_000,
      lastActiveAt: 1_000,
      identity: { sourceIp: "127.0.0.1" },
    });
    expect(await api.gateway.disconnect(id)).toBe(true);
    expect((await client.closed).code).toBe(1000);
  });

  it("returns gone as a value", async () => {
    const { gateway } = await startApi();
    expect([
      await gateway.post(NOBODY, "x"),
      await gateway.get(NOBODY),
      await gateway.disconnect(NOBODY),
    ]).toEqual(["gone", undefined, false]);
  });

  it.each([
    ["BAD_REQUEST", "nope", "x"],
    ["PAYLOAD_TOO_LARGE", NOBODY, "x".repeat(131_073)],
  ])("throws %s", async (code, id, data) => {
    const { gateway } = await startApi();
    expect(await rejection(gateway.post(id, data))).toMatchObject({ name: "ConnectionsError", code });
  });

  it("broadcasts with a result per recipient, in the order of the ids", async () => {
    const api = await startApi();
    const a = await connectWithId(api);
    const b = await connectWithId(api);
    const ids = [a.id, NOBODY, "nope", b.id];
    const { results, ...counts } = await api.gateway.broadcast(ids, "to all", { results: true });
    expect(counts).toEqual({ sent: 2, gone: 1, connecting: 0, failed: 1 });
    expect(results?.map(({ connectionId, outcome }) => [connectionId, outcome])).toEqual([
      [a.id, "sent"],
      [NOBODY, "gone"],
      ["nope", "failed"],
      [b.id, "sent"],
    ]);
    expect([await a.client.messages.next(), await b.client.messages.next()]).toEqual(["to all", "to all"]);
  });

  it("sends nothing after its signal has aborted", async () => {
    const api = await startApi();
    const { client, id } = await connectWithId(api);
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    expect(await rejection(api.gateway.post(id, "x", { signal }))).toBe(reason);
    await api.gateway.post(id, "mark");
    expect(await client.messages.next()).toBe("mark");
  });
});

describe("a caller", () => {
  const reason = "User: arn:aws:sts::000000000000:assumed-role/chat/chat is not authorized";

  it.each([
    ["POST", calls[0]![1]],
    ["GET", calls[1]![1]],
    ["DELETE", calls[2]![1]],
  ])("is refused with the reason that `authorizeCall` gives: %s", async (method, call) => {
    const asked: ConnectionsCall[] = [];
    const api = await startApi({
      authorizeCall(asks) {
        asked.push(asks);
        return { allowed: false, reason };
      },
    });
    const { id } = await connectWithId(api);
    const error = await rejection(call(sdk(api.gateway), id));
    expect(error).toBeInstanceOf(ForbiddenException);
    expect(error.message).toBe(reason);
    expect(asked).toEqual([{ accessKeyId: KEYS.accessKeyId, method, connectionId: id }]);
  });

  it("gets no response, and the process a warning, when `authorizeCall` throws", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const api = await startApi({
      authorizeCall() {
        throw new Error("no policies");
      },
    });
    expect(await rejection(signed(api, callsTo(NOBODY)))).toMatchObject({ code: "ECONNRESET" });
    expect(String(warn.mock.calls[0]?.[0])).toMatch(/^Error: no policies\n/);
  });

  it("that is allowed is answered", async () => {
    const api = await startApi({ authorizeCall: () => ({ allowed: true }) });
    const { client, id } = await connectWithId(api);
    await sdk(api.gateway).send(post(id, "hello"));
    expect(await client.messages.next()).toBe("hello");
  });
});
