import {
  type ChannelMessage,
  type CompleteMessage,
  type ErrorBody,
  type ErrorCode,
  type ErrorMessage,
  type ProgressMessage,
  RETRY_BY_CODE,
} from "../../protocol/index.ts";
import type { Json, OutputItem, RequestFailure, RequestProgress, StoredRequest } from "../../store/index.ts";
import type { CompactItem } from "./output/writer.ts";
import { toRequestChannel } from "./request-keys.ts";
import { type RequestResult, resultFields } from "./results.ts";

/** The epoch of every request's output: PROTOCOL.md, "Requests". */
export const OUTPUT_EPOCH = "output";

export function progressMessage(
  { id, attempt }: Pick<StoredRequest, "id" | "attempt">,
  { percentage, message = "", details }: RequestProgress,
): ProgressMessage {
  const metadata = details === undefined ? {} : { metadata: details };
  return { type: "progress", request_id: id, percentage, message, ...metadata, attempt };
}

export function completeMessage(id: string, result: RequestResult, output: number): CompleteMessage {
  return { type: "complete", request_id: id, success: true, ...resultFields(result), output };
}

export function failureMessage(id: string, failure: RequestFailure, output: number): ErrorMessage {
  return { type: "error", request_id: id, error: { ...failureBody(failure), retry: false }, output };
}

export function failureBody({ code, message, details }: RequestFailure): ErrorBody {
  const retry = Object.hasOwn(RETRY_BY_CODE, code) && RETRY_BY_CODE[code as ErrorCode];
  return { code, message, retry, ...(details === undefined ? {} : { details }) };
}

/** A part of the output, as the channel's messages have it. */
export function outputMessage(id: string, item: OutputItem | CompactItem): ChannelMessage {
  const { offset, data, at } = item;
  return {
    type: "message",
    id: `${id}:${offset}`,
    channel: toRequestChannel(id),
    data: data as Json,
    at,
    position: { epoch: OUTPUT_EPOCH, offset },
    ...("from" in item && item.from !== offset ? { from: item.from } : {}),
  };
}
