import type { LambdaHandler } from "./apigw/index.ts";
import {
  createGateway,
  createRefusalLogger,
  type Gateway,
  GatewayError,
  type GatewayOptions,
} from "./gateway/index.ts";
import { networkUrls } from "./internal/network-urls.ts";
import { waitForStop } from "./internal/stopping.ts";
import type { Lift } from "./lift/index.ts";

/** Options of {@link start}: those of the gateway, and where it listens. */
export interface StartOptions extends Omit<GatewayOptions, "everySecond" | "handler" | "routes"> {
  /** The port; 0 takes any free port. Default the environment variable `PORT`, or 3001. */
  readonly port?: number;
  /** The host name or address. A host other than loopback requires `credentials`. Default the environment variable `HOST`, or `127.0.0.1`. */
  readonly host?: string;
}

const DEFAULT_PORT = 3001;
const DEFAULT_HOST = "127.0.0.1";
const MAX_PORT = 65_535;

const REMEDIES = {
  Origin: 'set the option `allowedOrigins: ["…"]` of start',
  Host: 'set the option `allowedHosts: ["…"]` of start',
};

/**
 * Runs an app on this machine. SIGINT, SIGTERM, SIGHUP, or the end of the npm that started it, stop it gracefully; a second
 * signal stops it at once. The app's `schedule` runs every second. If the gateway cannot listen, `start` prints one line
 * and exits with 1.
 * @returns the running gateway; `undefined` in Lambda and under `lift-ws dev`, which call the module's handler
 * @throws {GatewayError} INVALID_OPTION
 * @example
 * const app = new Lift();
 * app.webSocket("$default", (ctx) => ctx.reply({ echo: ctx.body() }));
 * await start(app);
 */
export async function start<State extends object>(
  app: Lift<State>,
  options: StartOptions = {},
): Promise<Gateway | undefined> {
  if (process.env.AWS_LAMBDA_FUNCTION_NAME !== undefined) return undefined;
  const { port = environmentPort(), host = process.env.HOST || DEFAULT_HOST, ...rest } = options;
  const gateway = createAppGateway(app, rest);
  try {
    await gateway.listen({ port, host });
  } catch (error) {
    if (error instanceof GatewayError)
      exitWithError(addRemedy(error, options.port === undefined ? "set another PORT" : "set another `port`"));
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    exitWithError(`Cannot listen on ${host}, port ${port} (${code})`);
  }
  void closeWhenStopped(gateway, app);
  console.log(`WebSocket     ${gateway.url}`);
  for (const url of networkUrls(gateway.url, host)) console.log(`Network       ${url}`);
  console.log(`@connections  ${gateway.endpoint}/@connections/{id}`);
  return gateway;
}

/** Creates a gateway for an app. They call each other directly, without HTTP. */
function createAppGateway<State extends object>(app: Lift<State>, options: GatewayOptions): Gateway {
  const handler: LambdaHandler = (event, context) => handleEvent(event, context);
  const routes = new Map(app.routeKeys.map((key) => [key, handler]));
  const gateway: Gateway = createGateway({
    ownOrigins: true,
    allowedHosts: [],
    onRefused: createRefusalLogger(console.error, REMEDIES),
    ...options,
    routes,
    // Replaces the scheduled function of AWS.
    everySecond: () => app.tick({ connections: gateway }),
  });
  const handleEvent = app.webSocketHandler({ connections: gateway });
  return gateway;
}

function environmentPort(): number {
  const { PORT } = process.env;
  if (!PORT) return DEFAULT_PORT;
  const port = Number(PORT);
  if (!/^\d+$/.test(PORT) || port > MAX_PORT)
    exitWithError(`PORT must be a number from 0 to ${MAX_PORT}; got ${JSON.stringify(PORT)}`);
  return port;
}

function addRemedy({ code, message }: GatewayError, otherPort: string): string {
  return code === "ADDRESS_IN_USE" ? `${message}: stop the other program, or ${otherPort}` : message;
}

async function closeWhenStopped(gateway: Gateway, app: Pick<Lift, "stop">): Promise<void> {
  const signal = await waitForStop((line) => console.error(line));
  // After this, only the application's own handles keep the process alive.
  await gateway.close();
  await app.stop();
  if (signal === undefined) process.exit();
}

function exitWithError(message: string): never {
  console.error(message);
  process.exit(1);
}
