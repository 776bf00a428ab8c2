// serverless-offline under osls. It echoes by a route response: posting to its own @connections is slower, because each
// message costs another HTTP request.
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";

const ports = await Promise.all([freePort(), freePort(), freePort()]);
const [httpPort, websocketPort, lambdaPort] = ports.map(String);

process.chdir(fileURLToPath(new URL("./serverless-offline/", import.meta.url)));
process.env.SLS_TELEMETRY_DISABLED = "1";
process.env.SLS_NOTIFICATIONS_MODE = "off";
process.argv.splice(
  2,
  Infinity,
  "offline",
  "start",
  ...["--httpPort", httpPort, "--websocketPort", websocketPort, "--lambdaPort", lambdaPort],
  ...["--host", "127.0.0.1", "--noSponsor", "--noTimeout"],
  ...process.argv.slice(3),
);
createRequire(import.meta.url)("osls/bin/serverless.js");

while (!(await answers(websocketPort))) await new Promise((resolve) => setTimeout(resolve, 50));
console.log(`\nready ${websocketPort}`);

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

function answers(port) {
  return new Promise((resolve) => {
    const probe = connect(port, "127.0.0.1");
    probe.once("connect", () => resolve(true)).once("error", () => resolve(false));
    probe.once("connect", () => probe.destroy());
  });
}
