import { isLoopback, mintDevelopmentToken } from "lift-ws/development";
import { page } from "../page.ts";

/** Serves the page beside the functions: `--http examples/streamer/lambda/page.ts` of `lift-ws dev --lambda` and of `lift-ws local`. */
export default await page({
  stage: process.env.STAGE,
  isLoopback,
  // If others can reach the server, the functions accept no development tokens.
  mint: isLoopback(process.env.HOST ?? "")
    ? (sub, tenant) => mintDevelopmentToken({ sub, tenant })
    : undefined,
});
