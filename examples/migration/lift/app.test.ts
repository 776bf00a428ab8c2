import { jsonLogger } from "lift-ws";
import { memoryChannelStore, memoryConnectionStore } from "lift-ws/store/memory";
import { describe } from "vitest";
import { connectionsAt, type Side } from "../../../test/support/migration-sides.ts";
import { itBehaves } from "../behaviour.ts";
import { createReports } from "./app.ts";

/** The same application on this machine, which runs its requests itself. */
const inMemory: Side = {
  name: "Lift in memory",
  deploy: async ({ auth, endpoint, makeReport, timeoutMs, attempts }) => {
    const connectionStore = memoryConnectionStore();
    const reports = createReports({
      auth: { jwt: { algorithms: ["HS256"], ...auth } },
      connectionStore,
      store: memoryChannelStore(),
      connections: connectionsAt(endpoint),
      logger: jsonLogger({ level: "silent" }),
      makeReport,
      limits: { timeoutMs, retry: { attempts, firstMs: 0 } },
    });
    const handler = reports.app.webSocketHandler();
    return {
      connect: handler,
      disconnect: handler,
      router: handler,
      listConnections: async () => {
        const ids: string[] = [];
        for (const tenant of ["acme", "rival"]) {
          for await (const { id } of connectionStore.listByTenant(tenant)) ids.push(id);
        }
        return ids;
      },
      stop: () => reports.app.stop(),
    };
  },
};

describe("Lift in memory", () => itBehaves(() => inMemory));
