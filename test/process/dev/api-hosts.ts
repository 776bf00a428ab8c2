/**
 * A handler that posts to @connections at the API's host names, with the client that a message's `action` names. Any
 * well-formed signature passes on loopback.
 */
export const API_HOST_HANDLER = `
  import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
  import { request as httpRequest } from "node:http";
  import { request as httpsRequest } from "node:https";
  import { connect as tlsConnect } from "node:tls";
  const authorization = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/execute-api/aws4_request, " +
    "SignedHeaders=host, Signature=" + "0".repeat(64);
  const headers = { authorization };
  const done = (request, body) => new Promise((resolve, reject) => {
    request.on("response", (response) => { response.resume(); resolve(response.statusCode); });
    request.on("error", reject);
    request.end(body);
  });
  const byTls = (servername, path, body) => new Promise((resolve, reject) => {
    const socket = tlsConnect({ host: servername, port: 443, servername });
    const length = Buffer.byteLength(body);
    socket.end("POST " + path + " HTTP/1.1\\r\\nHost: " + servername + "\\r\\nAuthorization: " + authorization +
      "\\r\\nConnection: close\\r\\nContent-Length: " + length + "\\r\\n\\r\\n" + body);
    socket.on("data", (data) => resolve(Number(String(data).split(" ")[1]))).on("error", reject);
  });
  export const handler = async ({ requestContext, body }) => {
    if (requestContext.eventType !== "MESSAGE") return { statusCode: 200 };
    const { domainName, stage, connectionId, apiId } = requestContext;
    const { action } = JSON.parse(body);
    const aws = apiId + ".execute-api." + process.env.AWS_REGION + ".amazonaws.com";
    const path = "/" + stage + "/@connections/" + encodeURIComponent(connectionId);
    const options = { method: "POST", path, headers };
    const send = {
      sdk: async () => {
        const client = new ApiGatewayManagementApiClient({ endpoint: "https://" + aws + "/" + stage });
        await client.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: action }));
      },
      fetch: () => fetch("https://" + aws + path, { method: "POST", headers, body: action }),
      upper: () => fetch("https://" + aws.toUpperCase() + path, { method: "POST", headers, body: action }),
      plain: () => fetch("http://" + aws + path, { method: "POST", headers, body: action }),
      https: () => done(httpsRequest({ ...options, hostname: aws }), action),
      http: () => done(httpRequest({ ...options, hostname: aws }), action),
      dot: () => done(httpsRequest({ ...options, hostname: aws + "." }), action),
      tls: () => byTls(aws, path, action),
      event: () => fetch("https://" + domainName.replace(/:\\d+$/, "") + path, { method: "POST", headers, body: action }),
      raw: () => done(httpsRequest({ ...options, hostname: domainName }), action),
    };
    await send[action]();
    return { statusCode: 200 };
  };`;

export const API_HOST_CLIENTS = [
  "sdk",
  "fetch",
  "upper",
  "plain",
  "https",
  "http",
  "dot",
  "tls",
  "event",
  "raw",
];
