import { join } from "node:path";
import { App, CfnParameter, Stack } from "aws-cdk-lib";
import { Streamer } from "lift-ws/cdk";

const stack = new Stack(new App(), "Lounge");
const parameter = (id: string) => new CfnParameter(stack, id, { default: "", noEcho: true }).valueAsString;
new Streamer(stack, "Streamer", {
  entry: join(import.meta.dirname, "app.ts"),
  connectEntry: join(import.meta.dirname, "../streamer/lambda/connect.ts"),
  // Without a secret, the functions take the development tokens of `lift-ws local`, and on AWS they fail at their start.
  environment: { TOKEN_SECRET: parameter("TokenSecret") },
});
