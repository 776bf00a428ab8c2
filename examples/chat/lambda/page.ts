import { isLoopback, mintDevelopmentToken } from "lift-ws/development";
import { page } from "../page.ts";

/** Serves the page beside the functions: `lift-ws dev --lambda dist/lambda/chat --http examples/chat/lambda/page.ts`. */
export default page({
  stage: process.env.STAGE,
  isLoopback,
  // If others can reach the server, the functions accept no development tokens.
  mint: isLoopback(process.env.HOST ?? "")
    ? (sub, tenant) => mintDevelopmentToken({ sub, tenant })
    : undefined,
});
