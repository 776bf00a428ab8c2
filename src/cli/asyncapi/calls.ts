import {
  type JsonSchema,
  type JsonSchemaOptions,
  SERVER_MESSAGES,
  toJsonSchema,
} from "../../protocol/index.ts";
import type { RequestDescription } from "../../streamer/index.ts";
import { Definitions } from "./definitions.ts";
import { DocumentChannel } from "./document-channel.ts";
import { callFrame, responseFrame } from "./exchange.ts";
import { convert, type Side } from "./json-schema.ts";

/** The document's channel for the application's own actions. Namespaces have no capital letters. */
const CALLS = "applicationActions";

const OPTIONS: JsonSchemaOptions = { channel: {}, pointer: Definitions.pointer };

/**
 * Describes the application's own actions.
 * @param missing gets a line for each side of a validator that has no JSON Schema
 */
export function callsChannel(
  requests: ReadonlyMap<string, RequestDescription>,
  definitions: Definitions,
  missing: string[],
): DocumentChannel {
  const channel = new DocumentChannel(CALLS, {
    title: "The application's own actions",
    description:
      "A short request gets a response. A long one is stored and gets an acknowledgment, then progress, and at last complete or an error. Its output is the history of the channel `request:{id}`.",
  });
  const define = (action: string, validator: RequestDescription["input"], side: Side, part: string) => {
    const name = `${action}.${part}`;
    const { schema, missing: reason } = convert(validator, side, name);
    if (reason !== undefined) missing.push(`${name} is any JSON: ${reason}`);
    return validator === undefined ? schema : definitions.define(name, schema);
  };
  for (const [action, { input, output, progress, isStored }] of requests) {
    const payload = define(action, input, "input", "input");
    const result = define(action, output, "output", "result");
    const details = define(action, progress, "output", "progress");
    channel.addExchange(action, {
      summary: isStored ? "A long request: it is stored before it is acknowledged." : "Answered in place.",
      request: callFrame(action, payload, OPTIONS),
      response: isStored
        ? toJsonSchema(SERVER_MESSAGES.acknowledgment, OPTIONS)
        : responseFrame(result, OPTIONS),
    });
    if (isStored)
      channel.addPushes(
        `${action}.events`,
        `The messages that follow a \`${action}\`.`,
        pushes(action, result, details),
      );
  }
  return channel;
}

function pushes(action: string, result: JsonSchema, details: JsonSchema) {
  const frame = (type: "progress" | "complete", field: string, schema: JsonSchema) => {
    const { properties, ...rest } = toJsonSchema(SERVER_MESSAGES[type], OPTIONS) as { properties: object };
    return { ...rest, properties: { ...properties, [field]: schema } };
  };
  return [
    [
      `${action}.progress`,
      { summary: "How far the request is.", frame: frame("progress", "metadata", details) },
    ],
    [
      `${action}.complete`,
      { summary: "The request has completed.", frame: frame("complete", "result", result) },
    ],
    [
      `${action}.failed`,
      {
        summary: "The request has failed, or was cancelled.",
        frame: { $ref: Definitions.pointer("ErrorMessage") },
      },
    ],
  ] as const;
}
