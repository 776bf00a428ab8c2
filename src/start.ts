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

export interface StartOptions extends Omit<GatewayOptions, "everySecond" | "handler" | "routes"> {
  /** Default the environment's `PORT`, else 3001; 0 takes any free one. */
  readonly port?: number;
  /** Default the environment's `HOST`, else `127.0.0.1`. Beyond loopback the gateway needs `credentials`. */
  readonly host?: string;
}

const DEFAULT_PORT = 3001;
const DEFAULT_HOST = "127.0.0.1";
const MAX_PORT = 65_535;

const HOW_TO_ALLOW = {
  Origin: 'give start `allowedOrigins: ["…"]`',
  Host: 'give start `allowedHosts: ["…"]`',
};

/**
 * Runs an app on this machine until SIGINT, SIGTERM or SIGHUP stops it gracefully, and a second one at once; the end of
 * the npm that has started it stops it too. Its `schedule` is ticked every second. An error of listening is printed in
 * one line and ends the process with 1.
 * @returns the running gateway; `undefined` in a Lambda and under `lift-ws dev`, which call the module's handler
 * @throws {GatewayError} INVALID_OPTION
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
      exitWithError(
        addRemedy(error, options.port === undefined ? "set PORT to another" : "give start another"),
      );
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    exitWithError(`Can't listen on ${host}, port ${port} (${code})`);
  }
  void closeWhenStopped(gateway);
  console.log(`WebSocket     ${gateway.url}`);
  for (const url of networkUrls(gateway.url, host)) console.log(`Network       ${url}`);
  console.log(`@connections  ${gateway.endpoint}/@connections/{id}`);
  return gateway;
}

/** The app answers the gateway's events, and the gateway delivers what the app sends: no HTTP between the two. */
function createAppGateway<State extends object>(app: Lift<State>, options: GatewayOptions): Gateway {
  const handler: LambdaHandler = (event, context) => answer(event, context);
  const routes = new Map(app.routeKeys.map((key) => [key, handler]));
  const gateway: Gateway = createGateway({
    ownOrigins: true,
    allowedHosts: [],
    onRefused: createRefusalLogger(console.error, HOW_TO_ALLOW),
    ...options,
    routes,
    // In place of the scheduled function.
    ...(app.schedule !== undefined && { everySecond: () => app.tick({ connections: gateway }) }),
  });
  const answer = app.webSocketHandler({ connections: gateway });
  return gateway;
}

function environmentPort(): number {
  const { PORT } = process.env;
  if (!PORT) return DEFAULT_PORT;
  const port = Number(PORT);
  if (!/^\d+$/.test(PORT) || port > MAX_PORT)
    exitWithError(`PORT is ${JSON.stringify(PORT)}: give 0 to ${MAX_PORT}`);
  return port;
}

function addRemedy({ code, message }: GatewayError, otherPort: string): string {
  return code === "ADDRESS_IN_USE" ? `${message}: stop what uses it, or ${otherPort}` : message;
}

async function closeWhenStopped(gateway: Gateway): Promise<void> {
  const signal = await waitForStop((line) => console.error(line));
  // Nothing of the gateway's keeps the process alive after this; the application's own handles may.
  await gateway.close();
  if (signal === undefined) process.exit();
}

function exitWithError(message: string): never {
  console.error(message);
  process.exit(1);
}
