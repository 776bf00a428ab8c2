import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FunctionUrlEvent } from "../../../apigw/index.ts";
import { memoryConnectionStore, memoryTicketStore } from "../../../store/memory/index.ts";
import { jsonLogger, Lift } from "../../index.ts";
import {
  authorizerEvent,
  connectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "../../testing/index.ts";
import { ticketHandler } from "../tickets/index.ts";
import { type WebSocketAuthOptions, webSocketAuth, webSocketAuthorizer } from "./index.ts";
import { chooseProtocol, tokenFromRequest } from "./tokens.ts";

const NOW = Date.UTC(2026, 0, 1);

type Sent = { query?: { [name: string]: string }; headers?: { [name: string]: string } };

function makeApp(options: WebSocketAuthOptions) {
  const connections = recordingConnections();
  const logger = jsonLogger({ level: "silent" });
  const connectionStore = memoryConnectionStore({ now: () => NOW });
  const app = new Lift<object>({ connections, connectionStore, logger, now: () => NOW });
  const auth = webSocketAuth(options);
  app.use(auth).webSocket("refresh", auth.refresh);
  const handler = app.webSocketHandler();
  return {
    connect: (sent: Sent) =>
      handler(connectEvent({ ...sent, requestContext: { connectedAt: NOW } }), lambdaContext()),
    /** Returns the frame that responds to a refresh. */
    refresh: async (token: unknown) => {
      const requestContext = { requestTimeEpoch: NOW };
      await handler(
        messageEvent("refresh", { id: "r1", token } as never, { requestContext }),
        lambdaContext(),
      );
      return JSON.parse(connections.sent.at(-1)!.data) as unknown;
    },
  };
}

function postEvent(headers: { [name: string]: string }): FunctionUrlEvent {
  return {
    version: "2.0",
    rawPath: "/",
    rawQueryString: "",
    headers,
    requestContext: { requestId: "r", http: { method: "POST", path: "/", sourceIp: "192.0.2.1" } },
    isBase64Encoded: false,
  };
}

describe("a spelling of a token", () => {
  const spellings = [
    "TOKEN",
    "Bearer TOKEN",
    "bearer TOKEN",
    "BEARER   TOKEN",
    " TOKEN",
    "\tBearer\tTOKEN \n",
  ];

  it.each(spellings)("%j is read the same on $connect, in a refresh and for a ticket", async (spelling) => {
    const read: string[] = [];
    const validateToken = (token: string) => {
      read.push(token);
      return "ada";
    };
    const value = spelling.replace("TOKEN", "t0k.en");
    const auth = { validateToken, now: () => NOW };
    for (const sent of [
      { query: { token: value } },
      { query: { Authorization: value } },
      { headers: { Authorization: value } },
    ]) {
      expect((await makeApp(auth).connect(sent)).statusCode).toBe(200);
      await webSocketAuthorizer(auth)(authorizerEvent(sent));
    }
    const { connect, refresh } = makeApp(auth);
    await connect({ query: { token: "t0k.en" } });
    expect(await refresh(value)).toMatchObject({ success: true });
    const mint = ticketHandler({ ...auth, tickets: memoryTicketStore() });
    expect((await mint(postEvent({ authorization: value }), lambdaContext())).statusCode).toBe(200);
    expect(new Set(read)).toEqual(new Set(["t0k.en"]));
    expect(read).toHaveLength(9);
  });

  it.each(["", " ", "Bearer", "bearer ", " Bearer  ", "Basic YTpi", "Bearer a b", "a b"])(
    "%j is never a token",
    async (value) => {
      const auth = { validateToken: () => "ada", now: () => NOW };
      for (const sent of [
        { query: { token: value } },
        { query: { Authorization: value } },
        { headers: { Authorization: value } },
      ]) {
        expect((await makeApp(auth).connect(sent)).statusCode).toBe(401);
        await expect(webSocketAuthorizer(auth)(authorizerEvent(sent))).rejects.toThrow("Unauthorized");
      }
      const { connect, refresh } = makeApp(auth);
      await connect({ query: { token: "t0k.en" } });
      expect(await refresh(value)).toMatchObject({ error: { code: "VALIDATION_ERROR" } });
      const mint = ticketHandler({
        ...auth,
        tickets: memoryTicketStore(),
        logger: jsonLogger({ level: "silent" }),
      });
      expect((await mint(postEvent({ authorization: value }), lambdaContext())).statusCode).toBe(401);
    },
  );

  it.each([undefined, null, 7, ["t0k.en"], { token: "t0k.en" }])(
    "%j is not a token in a refresh",
    async (value) => {
      const { connect, refresh } = makeApp({ validateToken: () => "ada", now: () => NOW });
      await connect({ query: { token: "t0k.en" } });
      expect(await refresh(value)).toMatchObject({ error: { code: "VALIDATION_ERROR" } });
    },
  );

  it("is read the same from every source, for any text", async () => {
    const space = fc.constantFrom("", " ", "\t", "  ");
    const scheme = fc.constantFrom("", "Bearer ", "bearer  ", "Basic ");
    await fc.assert(
      fc.asyncProperty(space, scheme, fc.string(), space, async (...texts) => {
        const value = texts.join("");
        const seen: (string | undefined)[] = [];
        const validateToken = (token: string) => {
          seen.push(token);
          return "ada";
        };
        const { connect, refresh } = makeApp({ validateToken, now: () => NOW });
        await connect({ query: { token: "t0k.en" } });
        await refresh(value);
        const refreshed = seen[1];
        for (const query of [{ token: value }, { Authorization: value }]) {
          expect(tokenFromRequest(connectEvent({ query }))).toBe(refreshed);
        }
        expect(tokenFromRequest(connectEvent({ headers: { authorization: value } }))).toBe(refreshed);
      }),
    );
  });
});

describe("an upgrade request", () => {
  const event = (
    query: { [name: string]: readonly string[] },
    headers: { [name: string]: readonly string[] } = {},
  ) => ({
    ...connectEvent(),
    headers: Object.fromEntries(Object.entries(headers).map(([name, values]) => [name, values.at(-1)!])),
    multiValueHeaders: headers,
    queryStringParameters: Object.fromEntries(
      Object.entries(query).map(([name, values]) => [name, values.at(-1)!]),
    ),
    multiValueQueryStringParameters: query,
  });

  it.each(["", " ", "Bearer ", "Basic YTpi"])("has its token when another source has %j", (empty) => {
    const good = { token: ["good"] };
    const events = [
      event({ Authorization: [empty], ...good }),
      event({ authorization: [empty], ...good }),
      event({ Authorization: [empty], authorization: ["Bearer good"] }),
      event({ token: ["good", empty] }),
      event({ token: [empty, "good"] }),
      event(good, { Authorization: [empty] }),
      event(good, { Authorization: [empty, empty], "sec-websocket-protocol": ["bearer"] }),
      event({}, { authorization: ["Bearer good", empty] }),
      event({}, { Authorization: [empty], "Sec-WebSocket-Protocol": ["bearer, good"] }),
      event({ Authorization: [empty] }, { "Sec-WebSocket-Protocol": ["bearer, good"] }),
    ];
    for (const each of events) expect(tokenFromRequest(each), JSON.stringify(each)).toBe("good");
  });

  it("uses the last of several tokens, as the event's single values do", () => {
    expect(tokenFromRequest(event({ token: ["first", "last"] }))).toBe("last");
    expect(tokenFromRequest(event({}, { authorization: ["Bearer first", "Bearer last"] }))).toBe("last");
  });

  it("is read without multi-value lists and without a query", () => {
    const { multiValueHeaders: _, ...bare } = connectEvent({ headers: { Authorization: "Bearer good" } });
    expect(tokenFromRequest(bare as never)).toBe("good");
    const nothing = { ...connectEvent(), queryStringParameters: null, multiValueQueryStringParameters: null };
    expect(tokenFromRequest(nothing as never)).toBeUndefined();
    const single = { ...connectEvent(), queryStringParameters: { token: "good" } };
    expect(tokenFromRequest(single)).toBe("good");
  });

  it.each<[string, { [name: string]: readonly string[] }]>([
    ["two lines", { "Sec-WebSocket-Protocol": ["chat.v1, bearer", "good"] }],
    [
      "two lines of two spellings",
      { "sec-websocket-protocol": ["bearer"], "Sec-WebSocket-Protocol": ["good"] },
    ],
    ["three lines", { "Sec-WebSocket-Protocol": ["chat.v1", "bearer", "good , chat.v2"] }],
    ["lines with empty entries", { "Sec-WebSocket-Protocol": ["bearer,", ", good"] }],
  ])("offers subprotocols as one list in %s", (_what, headers) => {
    expect(tokenFromRequest(event({}, headers))).toBe("good");
    expect(chooseProtocol(event({}, headers), [])).toBe("bearer");
    expect(chooseProtocol(event({}, headers), ["good"])).toBe("bearer");
  });
});
