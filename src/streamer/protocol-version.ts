import { LiftError, type Middleware } from "../lift/index.ts";

/** PROTOCOL.md, "Versions". */
const VERSION = "1";

const check: Middleware = ({ event }, next) => {
  // Only $connect has a query.
  const query = "multiValueQueryStringParameters" in event ? event.multiValueQueryStringParameters : {};
  if (query?.protocol?.some((version) => version !== VERSION)) {
    throw new LiftError("VALIDATION_ERROR", {
      message: `This server speaks version ${VERSION} of the protocol`,
    });
  }
  return next();
};

/** Refuses with 400 a client that asks in the query for a version of the protocol other than this one. */
export const checkProtocolVersion: Middleware = Object.assign(check, { phase: "guard" as const });
