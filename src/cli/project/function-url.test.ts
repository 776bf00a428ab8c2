import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { expect, it } from "vitest";
import type { FunctionUrlEvent } from "../../apigw/index.ts";
import { serveFunctionUrl } from "./function-url.ts";

it.each([
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["192.0.2.1", "192.0.2.1"],
  ["2001:db8::1", "2001:db8::1"],
  [undefined, ""],
])("passes the address %s to a function URL handler as %s", async (remoteAddress, sourceIp) => {
  const request = {
    method: "POST",
    url: "/?a=1",
    headers: {},
    httpVersion: "1.1",
    socket: { remoteAddress },
  };
  const response = { writeHead: () => {}, end: () => {} };
  let given: FunctionUrlEvent | undefined;
  const handler = (event: FunctionUrlEvent) => {
    given = event;
    return { statusCode: 200 };
  };
  await serveFunctionUrl(
    handler,
    Object.assign(Readable.from([]), request) as unknown as IncomingMessage,
    response as unknown as ServerResponse,
  );
  expect(given?.requestContext.http).toEqual({
    method: "POST",
    path: "/",
    protocol: "HTTP/1.1",
    sourceIp,
  });
});

it("responds with the result as JSON would transfer it", async () => {
  const request = { method: "POST", url: "/", headers: {}, socket: {} };
  const written: unknown[] = [];
  const response = {
    writeHead: (...head: unknown[]) => void written.push(...head),
    end: (body: unknown) => void written.push(body),
  };
  const result = { statusCode: 200, headers: { a: "1", b: undefined }, body: "text" };
  await serveFunctionUrl(
    () => result,
    Object.assign(Readable.from([]), request) as unknown as IncomingMessage,
    response as unknown as ServerResponse,
  );
  expect(written).toStrictEqual([200, { "content-type": "application/json", a: "1" }, "text"]);
});

it("passes a body as text whatever the case of its content type", async () => {
  const headers = { "content-type": "Application/JSON" };
  const request = Object.assign(Readable.from([Buffer.from("{}")]), {
    method: "POST",
    url: "/",
    headers,
    socket: {},
  });
  let given: FunctionUrlEvent | undefined;
  await serveFunctionUrl(
    (event) => {
      given = event;
    },
    request as unknown as IncomingMessage,
    { writeHead: () => {}, end: () => {} } as unknown as ServerResponse,
  );
  expect(given).toMatchObject({ body: "{}", isBase64Encoded: false });
});
