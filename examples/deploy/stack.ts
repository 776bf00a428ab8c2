import { join } from "node:path";
import { App, CfnParameter, RemovalPolicy, Stack } from "aws-cdk-lib";
import { Streamer } from "lift-ws/cdk";

const app = new App();
// `lift-ws verify` names a stack of its own, whose data is deleted with it.
const [stackName, temporary] = ["stackName", "temporary"].map((name) => app.node.tryGetContext(name));
const stack = new Stack(app, "Lounge", { ...(stackName && { stackName }) });
const parameter = (id: string) => new CfnParameter(stack, id, { default: "", noEcho: true }).valueAsString;
new Streamer(stack, "Streamer", {
  entry: join(import.meta.dirname, "app.ts"),
  connectEntry: join(import.meta.dirname, "../streamer/lambda/connect.ts"),
  // Without a secret, the functions take the development tokens of `lift-ws local`, and on AWS they fail at their start.
  environment: { TOKEN_SECRET: parameter("TokenSecret") },
  ...(temporary && { removalPolicy: RemovalPolicy.DESTROY }),
});
