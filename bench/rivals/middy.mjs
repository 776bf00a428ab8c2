import middy from "@middy/core";

/**
 * `body` behind `count` middleware, each with a `before` and an `after` that do nothing, asynchronously.
 * `plugin`: middy's own options.
 */
export function withMiddy(body, count, plugin) {
  const handler = middy(body, plugin);
  for (let i = 0; i < count; i++) handler.use({ before: async () => {}, after: async () => {} });
  return handler;
}
