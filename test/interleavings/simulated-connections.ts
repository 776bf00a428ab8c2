import type { MessageData, PostOptions, PostOutcome } from "../../src/apigw/index.ts";
import { RecordingConnections } from "../../src/lift/testing/index.ts";
import type { SimulatedClient } from "./simulated-client.ts";

/** An @connections API in memory that passes each frame to its client. */
export class SimulatedConnections extends RecordingConnections {
  readonly #clients = new Map<string, SimulatedClient>();
  readonly #waiting: {
    readonly connectionId: string;
    readonly text: string;
    readonly resolve: () => void;
  }[] = [];

  open(client: SimulatedClient): void {
    this.#clients.set(client.connectionId, client);
  }

  /** Resolves when a frame with the text is sent to the client. */
  untilSent({ connectionId }: SimulatedClient, text: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ connectionId, text, resolve }));
  }

  override async post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    const outcome = await super.post(connectionId, data, options);
    if (outcome === "sent") this.#clients.get(connectionId)?.receive(String(data));
    for (const each of this.#waiting) {
      if (each.connectionId === connectionId && String(data).includes(each.text)) each.resolve();
    }
    return outcome;
  }
}
