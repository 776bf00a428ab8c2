import { CONNECTIONS } from "./connection.scenarios.ts";
import { EXPIRY } from "./expiry.scenarios.ts";
import { FAN_OUT } from "./fan-out.scenarios.ts";
import { LIVE_STREAMS } from "./live-stream.scenarios.ts";
import { MEMBERSHIP } from "./membership.scenarios.ts";
import { REQUESTS } from "./request.scenarios.ts";
import { SCHEDULE } from "./schedule.scenarios.ts";
import type { Scenarios } from "./simulation.ts";

export const SCENARIOS: Scenarios = {
  ...MEMBERSHIP,
  ...FAN_OUT,
  ...LIVE_STREAMS,
  ...REQUESTS,
  ...SCHEDULE,
  ...CONNECTIONS,
  ...EXPIRY,
};
