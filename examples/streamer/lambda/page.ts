import { isLoopback, mintDevelopmentToken } from "lift-ws/development";
import { page } from "../page.ts";

/** The page beside the functions: `lift-ws dev --lambda dist/lambda/streamer --http examples/streamer/lambda/page.ts`. */
export default await page({
  isLoopback,
  // Beyond this machine the functions take no development token.
  mint: isLoopback(process.env.HOST ?? "")
    ? (sub, tenant) => mintDevelopmentToken({ sub, tenant })
    : undefined,
});
