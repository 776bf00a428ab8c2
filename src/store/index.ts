export * from "./contracts/channels.ts";
export * from "./contracts/connections.ts";
export * from "./contracts/errors.ts";
