import { describe, expect, it } from "vitest";
import { isAuthorizerEvent, isConnectEvent, isDisconnectEvent, isMessageEvent } from "../../apigw/index.ts";
import {
  authorizerEvent,
  connectEvent,
  createTestWebSocketEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "./index.ts";

const EVERY_EVENT = [
  "apiId",
  "connectedAt",
  "connectionId",
  "domainName",
  "eventType",
  "extendedRequestId",
  "identity",
  "messageDirection",
  "requestId",
  "requestTime",
  "requestTimeEpoch",
  "routeKey",
  "stage",
];

describe("createTestWebSocketEvent", () => {
  it("returns a message as the service sends it", () => {
    const event = createTestWebSocketEvent("chat", "conn123", '{"a":1}');
    expect(isMessageEvent(event)).toBe(true);
    expect(Object.keys(event).sort()).toEqual(["body", "isBase64Encoded", "requestContext"]);
    expect(Object.keys(event.requestContext).sort()).toEqual([...EVERY_EVENT, "messageId"].sort());
    expect(event).toMatchObject({
      body: '{"a":1}',
      isBase64Encoded: false,
      requestContext: { routeKey: "chat", connectionId: "conn123", eventType: "MESSAGE" },
    });
  });

  it("returns a $connect as the service sends it", () => {
    const event = createTestWebSocketEvent("$connect", "conn123");
    expect(isConnectEvent(event)).toBe(true);
    expect(Object.keys(event).sort()).toEqual([
      "headers",
      "isBase64Encoded",
      "multiValueHeaders",
      "requestContext",
    ]);
    expect(Object.keys(event.requestContext).sort()).toEqual(EVERY_EVENT);
    expect(event).toHaveProperty("isBase64Encoded", false);
  });

  it("returns a $disconnect as the service sends it", () => {
    const event = createTestWebSocketEvent("$disconnect", "conn123");
    expect(isDisconnectEvent(event)).toBe(true);
    expect(Object.keys(event.requestContext).sort()).toEqual(
      [...EVERY_EVENT, "disconnectReason", "disconnectStatusCode"].sort(),
    );
    expect(event).toHaveProperty("headers.x-restapi", "");
    expect(event).not.toHaveProperty("body");
    expect(event).toHaveProperty("isBase64Encoded", false);
  });
});

describe("the event factories", () => {
  it("accept overrides", () => {
    const query = { token: "t" };
    const event = connectEvent({
      query,
      headers: { Origin: "https://a.example" },
      authorizer: { sub: "ada" },
    });
    expect(event.queryStringParameters).toEqual(query);
    expect(event.multiValueQueryStringParameters).toEqual({ token: ["t"] });
    expect(event.multiValueHeaders.Origin).toEqual(["https://a.example"]);
    expect(event.requestContext.authorizer).toEqual({
      principalId: "user",
      integrationLatency: 1,
      sub: "ada",
    });
    expect(connectEvent({ query: {} })).not.toHaveProperty("queryStringParameters");
    expect(messageEvent("a", { n: 1 }, { stageVariables: { v: "1" } })).toMatchObject({
      body: '{"n":1}',
      stageVariables: { v: "1" },
    });
    const closed = disconnectEvent({ code: 1001, reason: "Going away" });
    expect(closed.requestContext).toMatchObject({
      disconnectStatusCode: 1001,
      disconnectReason: "Going away",
    });
  });

  it("format the time as the service does", () => {
    expect(connectEvent().requestContext.requestTime).toMatch(
      /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/,
    );
  });

  it("return an authorizer's event", () => {
    const event = authorizerEvent({ query: { token: "t" } });
    expect(isAuthorizerEvent(event)).toBe(true);
    expect(event.methodArn).toBe("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/test/$connect");
    expect(event.requestContext).not.toHaveProperty("authorizer");
  });

  it("return a Lambda context", () => {
    expect(lambdaContext().getRemainingTimeInMillis()).toBe(29_000);
    expect(lambdaContext({ functionName: "chat" }).functionName).toBe("chat");
  });
});

describe("recordingConnections", () => {
  it("records the messages to each connection", async () => {
    const connections = recordingConnections();
    await connections.post("a", "1");
    await connections.broadcast(["a", "b"], Buffer.from("2"));
    expect(connections.sent).toEqual([
      { connectionId: "a", data: "1" },
      { connectionId: "a", data: "2" },
      { connectionId: "b", data: "2" },
    ]);
    expect(connections.jsonSentTo("a")).toEqual([1, 2]);
  });

  it("marks connections as gone or throttled", async () => {
    const connections = recordingConnections().gone("a").throttled("b");
    expect(await connections.post("a", "x")).toBe("gone");
    expect(await connections.get("a")).toBeUndefined();
    expect(await connections.disconnect("a")).toBe(false);
    await expect(connections.post("b", "x")).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
  });

  it("rejects messages over 131,072 bytes, or over its own limit", async () => {
    const connections = recordingConnections();
    expect(await connections.post("a", "x".repeat(131_072))).toBe("sent");
    await expect(connections.post("a", "x".repeat(131_073))).rejects.toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
    });
    await expect(connections.tooLarge().post("a", "x")).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
  });

  it("marks a disconnected connection as gone", async () => {
    const connections = recordingConnections();
    expect(await connections.disconnect("a")).toBe(true);
    expect(await connections.post("a", "x")).toBe("gone");
  });
});
