// `lift-ws local` on a stack without tables: functions from zip files, function URLs, and a role of another stack.
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { writeZip } from "../support/zip.ts";
import { ask, type Command, Project } from "./project.ts";

const ECHO = `exports.handler = async (event) => {
  if (event.requestContext.http === undefined) return { statusCode: 200, body: require("./lib/hello.js") };
  const { queryStringParameters, rawPath, cookies, body, isBase64Encoded } = event;
  if (rawPath === "/fail") throw new Error("on purpose");
  if (rawPath === "/text") return "plain";
  const result = { queryStringParameters, rawPath, cookies, body, isBase64Encoded };
  return { statusCode: 201, headers: { "X-One": 1 }, cookies: ["a=1", "b=2"], body: JSON.stringify(result) };
};`;

const TEMPLATE = `Parameters:
  RoleArn: { Type: String, Default: 'arn:aws:iam::123456789012:role/teams/shared' }
Resources:
  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: WEBSOCKET } }
  Stage: { Type: AWS::ApiGatewayV2::Stage, Properties: { ApiId: !Ref Api, StageName: live } }
  Echo:
    Type: AWS::Lambda::Function
    Properties: { Runtime: nodejs24.x, Handler: index.handler, Role: !Ref RoleArn, Code: ./echo.zip }
  Permission:
    Type: AWS::Lambda::Permission
    Properties: { FunctionName: !Ref Echo, Action: lambda:InvokeFunction, Principal: apigateway.amazonaws.com }
  Open:
    Type: AWS::Lambda::Permission
    Properties: { FunctionName: !Ref Echo, Action: lambda:InvokeFunctionUrl, Principal: '*', FunctionUrlAuthType: NONE }
  Runs:
    Type: AWS::Lambda::Permission
    Properties: { FunctionName: !Ref Echo, Action: lambda:InvokeFunction, Principal: '*', InvokedViaFunctionUrl: true }
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Echo.Arn }
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: $default, Target: !Sub 'integrations/\${Integration}' }
  Response:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref Route, RouteResponseKey: $default }
  Public:
    Type: AWS::Lambda::Url
    Properties:
      AuthType: NONE
      TargetFunctionArn: !GetAtt Echo.Arn
      Cors: { AllowOrigins: ['https://app.example'], AllowMethods: [GET, PUT], AllowHeaders: [x-a], ExposeHeaders: [x-b], AllowCredentials: true, MaxAge: 60 }
  Signed: { Type: AWS::Lambda::Url, Properties: { AuthType: AWS_IAM, TargetFunctionArn: !GetAtt Echo.Arn } }
  Streamed:
    Type: AWS::Lambda::Url
    Properties: { AuthType: NONE, InvokeMode: RESPONSE_STREAM, TargetFunctionArn: !GetAtt Echo.Arn }
`;

let project: Project;

beforeAll(async () => {
  project = await Project.create({ "chat.yaml": TEMPLATE });
  const zip = writeZip([
    { name: "index.js", content: ECHO },
    { name: "lib/hello.js", content: 'module.exports = "hello";' },
  ]);
  await writeFile(join(project.directory, "echo.zip"), zip);
});

afterAll(() => project?.remove());

describe("a stack", () => {
  let lift: Command;
  let url: string;

  beforeAll(async () => {
    lift = project.run(["local", "chat.yaml", "--port", "0"]);
    await lift.prints(/^Routes/m);
    [, url = ""] = /^Function URL +(\S+) {2}\(Public\)$/m.exec(lift.output) ?? [];
  });

  it("runs the function of a zip file, with its folders", async () => {
    expect(await ask(await project.connect(lift.url), "{}")).toBe("hello");
  });

  it("names the function whose role is elsewhere, and what it does not serve", () => {
    expect(lift.output).toMatch(/^Not enforced +all calls of Echo: its role shared is not in the template$/m);
    expect(lift.output).toMatch(
      /^Not run here +a function URL with the AuthType AWS_IAM, whose callers are not checked here: Signed$/m,
    );
    expect(lift.output).toMatch(
      /^Not run here +a function URL with the InvokeMode RESPONSE_STREAM: Streamed$/m,
    );
  });

  it("serves a function URL: path, query, cookies, texts, bytes, and the result's headers", async () => {
    const headers = { cookie: "c=3; d=4", "content-type": "application/json" };
    const response = await fetch(`${url}a%20b?x=1&x=2&y=%20`, { method: "POST", headers, body: "{}" });
    expect([response.status, response.headers.get("x-one"), response.headers.getSetCookie()]).toEqual([
      201,
      "1",
      ["a=1", "b=2"],
    ]);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toEqual({
      ...{ rawPath: "/a%20b", queryStringParameters: { x: "1,2", y: " " }, cookies: ["c=3", "d=4"] },
      ...{ body: "{}", isBase64Encoded: false },
    });
    const bytes = await fetch(url, { method: "PUT", body: Buffer.from([0xff]) });
    expect(await bytes.json()).toEqual({ rawPath: "/", body: "/w==", isBase64Encoded: true });
    expect(await (await fetch(`${url}text`)).text()).toBe("plain");
  });

  it("answers a function's error with 502, and too large a body with 413", async () => {
    const failed = await fetch(`${url}fail`);
    expect([failed.status, await failed.text()]).toEqual([502, "Internal Server Error"]);
    await lift.prints(/on purpose/);
    expect((await fetch(url, { method: "POST", body: Buffer.alloc(6 * 2 ** 20 + 1) })).status).toBe(413);
  });

  it("lets pages of the origins in `Cors` call a function URL, without a call for the preflight", async () => {
    const preflight = (origin: string, method = "OPTIONS") =>
      fetch(url, { method, headers: { origin, "access-control-request-method": "PUT" } });
    const allowed = await preflight("https://app.example");
    const named = [...allowed.headers].filter(([name]) => /^(access-control-|vary$)/.test(name));
    expect([allowed.status, Object.fromEntries(named)]).toEqual([
      200,
      {
        "access-control-allow-credentials": "true",
        "access-control-allow-headers": "x-a",
        "access-control-allow-methods": "GET,PUT",
        "access-control-allow-origin": "https://app.example",
        "access-control-expose-headers": "x-b",
        "access-control-max-age": "60",
        vary: "Origin",
      },
    ]);
    expect((await preflight("https://evil.example")).headers.get("access-control-allow-origin")).toBeNull();
    // Only OPTIONS is a preflight.
    expect((await preflight("https://app.example", "PUT")).status).toBe(201);
  });

  it("refuses another Host on loopback", async () => {
    const status = await new Promise((resolve) => {
      request(url, { headers: { host: "evil.example" } }, ({ statusCode }) => resolve(statusCode)).end();
    });
    expect(status).toBe(403);
  });

  it("stops with the signal", async () => {
    lift.signal("SIGINT");
    expect(await lift.exited).toBe(0);
  });
});

it.each([
  ["the URL", "InvokeFunctionUrl, Principal: '*'", "InvokeFunctionUrl"],
  ["the function", "InvokeFunction, Principal: '*'", "InvokeFunction"],
])("refuses calls of a function URL without a permission for %s, and names it", async (_, grant, missing) => {
  await project.save(
    "closed.yaml",
    TEMPLATE.replace(`lambda:${grant}`, "lambda:GetFunction, Principal: '*'"),
  );
  const lift = project.run(["local", "closed.yaml", "--port", "0"]);
  await lift.prints(/^Routes/m);
  const [, url = ""] = /^Function URL +(\S+)/m.exec(lift.output) ?? [];
  expect((await fetch(url)).status).toBe(403);
  await lift.prints(
    new RegExp(
      `Refused a call of \\S+Echo\\S* by the function URL .Public.: .* \`\\*\` for lambda:${missing}$`,
      "m",
    ),
  );
  await lift.kill();
});

/** The template with a route $connect that has these properties. */
const connectBy = (properties: string) =>
  TEMPLATE.replace("Resources:", () =>
    [
      "Resources:",
      "  Connect:",
      "    Type: AWS::ApiGatewayV2::Route",
      `    Properties: { ApiId: !Ref Api, RouteKey: $connect, ${properties}, Target: !Sub 'integrations/\${Integration}' }`,
    ].join("\n"),
  );

it("runs without a function that runs here, and its routes answer with an error", async () => {
  await project.save("python.yaml", TEMPLATE.replace("nodejs24.x", "python3.13"));
  const lift = project.run(["local", "python.yaml", "--port", "0"]);
  await lift.prints(/^Routes/m);
  expect(lift.output).toMatch(/^Not run here +a function on python3\.13: Echo$/m);
  expect(await ask(await project.connect(lift.url), "{}")).toContain("Internal server error");
  // Nobody has a key pair.
  const headers = {
    authorization:
      "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/execute-api/aws4_request, SignedHeaders=host, Signature=a",
  };
  const connections = lift.url.replace("ws:", "http:").concat("/@connections/a");
  expect((await fetch(connections, { headers })).status).toBe(403);
  await lift.kill();
});

it.each([
  [
    "an authorizer that does not exist",
    connectBy("AuthorizationType: CUSTOM, AuthorizerId: none"),
    'stopped.yaml:4: Connect: The route $connect with the AuthorizationType CUSTOM needs the `AuthorizerId` of an authorizer of its API; got "none"',
  ],
  [
    "the name of a role",
    TEMPLATE.replace("!Ref RoleArn", "a-role"),
    'stopped.yaml:6: Echo: `Role` must be the ARN of a role; got "a-role"',
  ],
  [
    "a time limit of a function that is too long",
    TEMPLATE.replace("Runtime: nodejs24.x", "Runtime: nodejs24.x, Timeout: 901"),
    "stopped.yaml:6: Echo: `Timeout` must be a whole number from 1 to 900; got 901",
  ],
])("stops at %s with one line", async (_, template, message) => {
  await project.save("stopped.yaml", template);
  const lift = project.run(["local", "stopped.yaml", "--port", "0"]);
  expect(await lift.exited).toBe(1);
  expect(lift.output).toBe(`lift-ws: ${message}\n`);
});

it.each(["a b", "1a", ""])("refuses the stack name %j, which begins the names of resources", async (name) => {
  await project.save("named.yaml", TEMPLATE);
  const lift = project.run(["local", "named.yaml", `--stack-name=${name}`]);
  expect(await lift.exited).toBe(2);
  expect(lift.output).toContain(
    `--stack-name must have 1 to 128 letters, digits and -, the first a letter; got "${name}"`,
  );
});

it("lets no one connect by AWS_IAM, whose signatures are not checked here", async () => {
  await project.save("iam.yaml", connectBy("AuthorizationType: AWS_IAM"));
  const lift = project.run(["local", "iam.yaml", "--port", "0"]);
  await lift.prints(/^Routes/m);
  expect(lift.output).toMatch(/^Not run here +authorization by AWS_IAM; no one may connect here: Connect$/m);
  await expect(project.connect(lift.url)).rejects.toThrow("refused with 403");
  await lift.kill();
});

it("keeps the functions when a saved template has a role without an ARN", async () => {
  await project.save("watched.yaml", TEMPLATE);
  const lift = project.run(["local", "watched.yaml", "--port", "0", "--watch"]);
  await lift.prints(/^Routes/m);
  const socket = await project.connect(lift.url);
  await project.save("watched.yaml", TEMPLATE.replace("!Ref RoleArn", "a-role"));
  await lift.prints(/watched\.yaml:6: Echo: `Role` must be the ARN of a role; got "a-role"/);
  await lift.prints(/The previous functions stay in use/);
  expect(await ask(socket, "{}")).toBe("hello");
  await lift.kill();
});

it("names the resource whose zip file is damaged", async () => {
  await project.save("echo.txt", "no zip file, but a text");
  await project.save("broken.yaml", TEMPLATE.replace("echo.zip", "echo.txt"));
  const lift = project.run(["local", "broken.yaml", "--port", "0"]);
  expect(await lift.exited).toBe(1);
  expect(lift.output).toMatch(
    /broken\.yaml:6: Echo: Cannot read the code \S+echo\.txt: it is not a zip file/,
  );
});

const STORED = `const { S3Client, PutObjectCommand, GetObjectCommand } = require("@aws-sdk/client-s3");
const client = new S3Client({});
exports.handler = async ({ body }) => {
  const object = { Bucket: process.env.BUCKET, Key: "notes/1" };
  await client.send(new PutObjectCommand({ ...object, Body: body }));
  const { Body } = await client.send(new GetObjectCommand(object));
  return { statusCode: 200, body: await Body.transformToString() };
};`;

it("keeps the objects of buckets, and decides each call by the role of its function", async () => {
  const template = (actions: string) =>
    TEMPLATE.replace("Resources:", "Resources:\n  Notes: { Type: AWS::S3::Bucket }")
      .replace("!Ref RoleArn", "!GetAtt Role.Arn, Environment: { Variables: { BUCKET: !Ref Notes } }")
      .replace("echo.zip", "stored.zip")
      .concat(
        `  Role: { Type: AWS::IAM::Role, Properties: { Policies: [{ PolicyName: Use, PolicyDocument: { Statement: [`,
        `{ Effect: Allow, Action: [${actions}], Resource: !Sub '\${Notes.Arn}/notes/*' }] } }] } }\n`,
      );
  const zip = writeZip([{ name: "index.js", content: STORED }]);
  await writeFile(join(project.directory, "stored.zip"), zip);
  await project.save("notes.yaml", template("'s3:PutObject', 's3:GetObject'"));
  await project.save("denied.yaml", template("'s3:GetObject'"));
  const [lift, denied] = ["notes.yaml", "denied.yaml"].map((file) =>
    project.run(["local", file, "--port", "0"]),
  ) as [Command, Command];
  for (const each of [lift, denied]) await each.prints(/^Routes/m);
  expect(lift.output).toMatch(/^S3 +http:\/\/127\.0\.0\.1:\d+ {2}\(notes-notes\)$/m);
  expect(await ask(await project.connect(lift.url), "a note")).toBe("a note");
  expect(await ask(await project.connect(denied.url), "a note")).toContain("Internal server error");
  await denied.prints(
    /not authorized to perform: s3:PutObject on resource: arn:aws:s3:::denied-notes\/notes\/1/,
  );
  for (const each of [lift, denied]) await each.kill();
});

it("removes the extracted code when it is stopped before it has started", async () => {
  const temporary = await mkdtemp(join(tmpdir(), "lift-ws-stopped-"));
  onTestFinished(() => rm(temporary, { recursive: true }));
  // A database that fails once the command has been stopped.
  const database = createServer((_request, response) => {
    lift.signal("SIGINT");
    void lift.prints(/^Stopping/m).finally(() => response.writeHead(400).end());
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void database.close());
  await once(database, "listening");
  const { port } = database.address() as AddressInfo;
  const table = "  Table: { Type: AWS::DynamoDB::Table, Properties: { KeySchema: [] } }\n";
  await project.save("table.yaml", `${TEMPLATE}${table}`);
  const endpoint = `http://127.0.0.1:${port}`;
  const argv = ["local", "table.yaml", "--port", "0", "--dynamodb-endpoint", endpoint];
  const lift = project.run(argv, { TMPDIR: temporary });
  await lift.exited;
  expect(await readdir(temporary)).toEqual([]);
});
