import type { MessageData, PostOptions, PostOutcome } from "../../src/apigw/index.ts";
import { RecordingConnections } from "../../src/lift/testing/index.ts";
import type { SimulatedClient } from "./simulated-client.ts";

/** An @connections API in memory that passes each frame to its client. */
export class SimulatedConnections extends RecordingConnections {
  readonly #clients = new Map<string, SimulatedClient>();

  open(client: SimulatedClient): void {
    this.#clients.set(client.connectionId, client);
  }

  override async post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    const outcome = await super.post(connectionId, data, options);
    if (outcome === "sent") this.#clients.get(connectionId)?.receive(String(data));
    return outcome;
  }
}
