import { makeReport } from "../../report.ts";
import { createProcessor } from "../processor.ts";
import { services } from "./options.ts";

export const handler = createProcessor(services, {
  makeReport,
  timeoutMs: 840_000,
  attempts: 3,
  leaseMs: 900_000,
});
