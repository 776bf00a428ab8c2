import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { readStack, type Stack } from "../../src/cli/local/stack.ts";

/** Reads a stack with a WebSocket API and these resources, as YAML below `Resources`. */
export function readStackWith(resources: string): Stack {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-stack-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "chat.yaml");
  writeFileSync(
    file,
    `Resources:
  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: WEBSOCKET } }
  Stage: { Type: AWS::ApiGatewayV2::Stage, Properties: { ApiId: !Ref Api, StageName: live } }
${resources}`,
  );
  return readStack({ file, stackName: "chat", region: "us-east-1", parameters: {} });
}
