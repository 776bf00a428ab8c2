import type { HistoryPayload } from "../../protocol/index.ts";
import { authorize } from "../access.ts";
import type { ClientRequest } from "../call-context.ts";
import type { Channels } from "../channels.ts";
import { ByteBudget, createResponse, sendResponse } from "../responses.ts";
import type { HistoryReader } from "./history-reader.ts";

/** Handles `history`: sends as many of the selected messages as fit into one frame. */
export class HistoryAction {
  readonly #channels: Channels;
  readonly #reader: HistoryReader;

  constructor(channels: Channels, reader: HistoryReader) {
    this.#channels = channels;
    this.#reader = reader;
  }

  async run({ channel: name, ...selection }: HistoryPayload, request: ClientRequest): Promise<void> {
    const channel = this.#channels.get(name, request.identity);
    await authorize("subscribe", request.identity, channel);
    const { messages, ...rest } = await this.#reader.read(channel, selection, request.budget);
    const bytes = new ByteBudget(createResponse(request.requestId, { ...rest, messages: [] }));
    const fitting = selection.after === undefined ? bytes.takeLast(messages) : bytes.takeFirst(messages);
    const more = rest.more || fitting.length < messages.length;
    await sendResponse<"history">(request, { ...rest, messages: fitting, more });
  }
}
