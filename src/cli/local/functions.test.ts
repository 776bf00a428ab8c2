import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { writeZip } from "../../../test/support/zip.ts";
import { StackFunctions } from "./functions.ts";
import { Callers } from "./roles.ts";
import { readStack } from "./stack.ts";

const TEMPLATE = `Resources:
  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: WEBSOCKET } }
  Stage: { Type: AWS::ApiGatewayV2::Stage, Properties: { ApiId: !Ref Api, StageName: live } }
  Echo:
    Type: AWS::Lambda::Function
    Properties: { Runtime: nodejs24.x, Role: 'arn:aws:iam::1:role/other', Code: ./echo.zip }
`;

it("extracts an archive again only when it has changed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-functions-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const extracted = join(folder, "tmp");
  mkdirSync(extracted);
  vi.stubEnv("TMPDIR", extracted);
  onTestFinished(() => void vi.unstubAllEnvs());
  const [file, archive] = [join(folder, "chat.yaml"), join(folder, "echo.zip")];
  writeFileSync(file, TEMPLATE);
  writeFileSync(archive, writeZip([{ name: "index.js", content: "" }]));
  const read = () => readStack({ file, stackName: "chat", region: "eu-west-1", parameters: {} });
  const stack = read();
  const functions = new StackFunctions(stack, {
    callers: new Callers(stack),
    defaults: {},
    overrides: {},
    apiHosts: { names: [], httpsNames: [], gateway: { host: "", port: 0 } },
    log: () => {},
    onMetric: () => {},
  });
  functions.replace(read());
  expect(readdirSync(extracted)).toHaveLength(1);
  utimesSync(archive, 1, 1);
  functions.replace(read());
  expect(readdirSync(extracted)).toHaveLength(2);
  await functions.stop();
  expect(readdirSync(extracted)).toEqual([]);
});
