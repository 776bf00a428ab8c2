import { randomBytes } from "node:crypto";
import { setDefaults, setLambdaEnvironment } from "../environment.ts";
import type { Reference } from "./handlers.ts";
import { loadModule } from "./loaded-app.ts";
import { type ModuleExports, ProjectModules } from "./modules.ts";

const DEFAULT_REGION = "us-east-1";
/** The default URL of `lift-ws dev`. */
export const DEFAULT_URL = "ws://127.0.0.1:3001/dev";

/** Loads a module without serving it. Its own output goes to stderr. */
export async function loadQuietly(
  reference: Reference,
  handler: string,
  url = new URL(DEFAULT_URL),
): Promise<ModuleExports> {
  const { env } = process;
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || DEFAULT_REGION;
  // In a Lambda's environment `start` does nothing.
  setLambdaEnvironment(env, { endpoint: url.href.replace(/^ws/, "http"), region, handler });
  // `lift-ws dev` sets a secret. This one signs nothing.
  setDefaults(env, { LIFT_WS_DEVELOPMENT_SECRET: randomBytes(32).toString("base64url") });
  const { write } = process.stdout;
  process.stdout.write = process.stderr.write.bind(process.stderr);
  try {
    return await loadModule(reference, new ProjectModules());
  } finally {
    process.stdout.write = write;
  }
}
