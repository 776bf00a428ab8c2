import { once } from "node:events";
import { Agent } from "node:https";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { GetConnectionCommand, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
import { describe, expect, it, onTestFinished } from "vitest";
import { createSelfSigned } from "../../src/cli/certificate/self-signed.ts";
import { Listener } from "../../src/gateway/listener.ts";
import { connect, connectWithId, http, KEYS, rejection, sdk, startApi } from "./harness.ts";

const DAY_MS = 86_400_000;
const tls = createSelfSigned(
  ["localhost", "127.0.0.1"],
  new Date(Date.now() - DAY_MS),
  new Date(Date.now() + DAY_MS),
);
const ca = tls.cert;

describe("a port with a certificate", () => {
  it("answers the SDK over TLS at the endpoint in an event, with verified signatures", async () => {
    const api = await startApi({ tls, credentials: KEYS });
    const client = await connect(api.gateway, { ca });
    const { domainName, stage, connectionId } = (await api.connects.next()).requestContext;
    const management = sdk(api.gateway, {
      endpoint: `https://${domainName}/${stage}`,
      requestHandler: { httpsAgent: new Agent({ ca }) },
    });
    await management.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: "over TLS" }));
    expect(await client.messages.next()).toBe("over TLS");
  });

  it("passes https to $connect as the protocol", async () => {
    const api = await startApi({ tls });
    await connect(api.gateway, { ca });
    expect((await api.connects.next()).headers["X-Forwarded-Proto"]).toBe("https");
  });

  it("answers without TLS too", async () => {
    const api = await startApi({ tls });
    const { client, id } = await connectWithId(api);
    await sdk(api.gateway).send(new PostToConnectionCommand({ ConnectionId: id, Data: "in the clear" }));
    expect(await client.messages.next()).toBe("in the clear");
  });

  it("answers /healthz with and without TLS", async () => {
    const { gateway } = await startApi({ tls });
    const answers = [await http(gateway, "/healthz"), await http(gateway, "/healthz", { ca })];
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  });

  it("is not trusted by a client that does not know the certificate", async () => {
    const { gateway } = await startApi({ tls });
    const endpoint = gateway.endpoint.replace("http:", "https:");
    const command = new GetConnectionCommand({ ConnectionId: "Xux7aeaAFiACHZQ=" });
    expect(await rejection(sdk(gateway, { endpoint }).send(command))).toMatchObject({
      code: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_VERIFY/),
    });
  });

  it("closes with 1009 on a frame of 32,769 bytes, as without TLS", async () => {
    const api = await startApi({ tls });
    const client = await connect(api.gateway, { ca });
    client.send("x".repeat(32_769));
    expect((await client.closed).code).toBe(1009);
  });

  it("disconnects a client that never sends a byte", async () => {
    const none = () => {};
    const listener = new Listener(none, none, tls, { firstByte: 20 });
    const port = await listener.listen(0, "127.0.0.1");
    onTestFinished(() => listener.close());
    await once(connectTcp({ port }).resume(), "close");
  });

  it("closes a connection whose request headers never end", async () => {
    const none = () => {};
    const timeouts = { firstByte: 10_000, headersTimeout: 20, connectionsCheckingInterval: 20 };
    const listener = new Listener(none, none, tls, timeouts);
    const port = await listener.listen(0, "127.0.0.1");
    onTestFinished(() => listener.close());
    const plain = connectTcp({ port });
    const secure = connectTls({ port, ca });
    for (const socket of [plain, secure]) {
      // The connection may end with a reset after the response. A reset before it still fails the test.
      socket.on("error", none);
      socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n");
      const [answer] = await once(socket, "data");
      expect(String(answer)).toMatch(/^HTTP\/1.1 408 /);
    }
  });
});
