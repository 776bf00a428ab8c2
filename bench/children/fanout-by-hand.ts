/** Handwritten fan-outs with the AWS SDK. */
import {
  ApiGatewayManagementApiClient,
  type ApiGatewayManagementApiClientConfig,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import type { ConnectionStore } from "lift-ws/store";
import type { Send } from "./fanout-side.ts";

export interface ByHand {
  readonly target: ApiGatewayManagementApiClientConfig;
  readonly store: ConnectionStore;
  readonly workers: number;
}

export function byHand({ target, store, workers }: ByHand): { workers: Send; all: Send; loop: Send } {
  const agent = { keepAlive: true, maxSockets: workers };
  const roomy = new ApiGatewayManagementApiClient({
    ...target,
    requestHandler: { httpAgent: agent, httpsAgent: agent },
  });
  const usual = new ApiGatewayManagementApiClient(target);

  /** The SDK retries. The row of a gone connection is deleted. */
  const post = async (client: ApiGatewayManagementApiClient, ConnectionId: string, Data: string) => {
    try {
      await client.send(new PostToConnectionCommand({ ConnectionId, Data }));
    } catch (error) {
      if ((error as Error).name !== "GoneException") throw error;
      await store.delete(ConnectionId);
    }
  };

  return {
    /** The best handwritten form: as many workers as Lift has, each with a socket. */
    workers: async (ids, data) => {
      let next = 0;
      const work = async () => {
        while (next < ids.length) await post(roomy, ids[next++]!, data);
      };
      await Promise.all(Array.from({ length: workers }, work));
    },
    all: async (ids, data) => {
      await Promise.all(ids.map((id) => post(usual, id, data)));
    },
    loop: async (ids, data) => {
      for (const id of ids) await post(usual, id, data);
    },
  };
}
