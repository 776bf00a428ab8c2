import type { IncomingMessage, ServerResponse } from "node:http";
import { expect, it } from "vitest";
import type { FunctionUrlEvent } from "../../apigw/index.ts";
import { serveFunctionUrl } from "./function-url.ts";

it.each([
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["192.0.2.1", "192.0.2.1"],
  ["2001:db8::1", "2001:db8::1"],
  [undefined, ""],
])("passes the address %s to a function URL handler as %s", async (remoteAddress, sourceIp) => {
  const request = { method: "POST", url: "/?a=1", headers: {}, socket: { remoteAddress } };
  const response = { writeHead: () => {}, end: () => {} };
  let given: FunctionUrlEvent | undefined;
  const handler = (event: FunctionUrlEvent) => {
    given = event;
    return { statusCode: 200 };
  };
  await serveFunctionUrl(
    handler,
    request as unknown as IncomingMessage,
    response as unknown as ServerResponse,
  );
  expect(given?.requestContext.http).toEqual({ method: "POST", path: "/", sourceIp });
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
    request as unknown as IncomingMessage,
    response as unknown as ServerResponse,
  );
  expect(written).toStrictEqual([200, { a: "1" }, "text"]);
});
