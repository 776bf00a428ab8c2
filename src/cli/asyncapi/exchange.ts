import {
  type Action,
  CALL,
  IDENTIFIER,
  type JsonSchema,
  type JsonSchemaOptions,
  REQUESTS,
  RESPONSE_DATA,
  RESULTS,
  SERVER_MESSAGES,
  toJsonSchema,
} from "../../protocol/index.ts";

/** A client's request and its response, each a whole frame. */
export interface Exchange {
  readonly summary: string;
  readonly request: JsonSchema;
  /** Absent when the request has no response of its own. */
  readonly response?: JsonSchema;
}

/** Describes an action. The payload is optional when none of its fields is required. */
export function toExchange(
  action: Exclude<Action, "message">,
  summary: string,
  options: JsonSchemaOptions,
): Exchange {
  const payload = toJsonSchema(REQUESTS[action], options);
  const request = requestFrame(action, { payload }, "required" in payload ? ["payload"] : [], options);
  const hasResponse = action !== "part" && action !== "resend";
  return { summary, request, ...(hasResponse && { response: toResponse(action, options) }) };
}

/** A request's frame, with these fields beside `id` and `action`. */
export function requestFrame(
  action: Action,
  fields: { readonly [name: string]: JsonSchema },
  required: readonly string[],
  options: JsonSchemaOptions,
): JsonSchema {
  const id = toJsonSchema(IDENTIFIER, options);
  return {
    type: "object",
    properties: { id, action: { type: "string", const: action }, ...fields },
    required: ["action", ...required],
  };
}

/** The frame of a call of one of the application's own actions. */
export function callFrame(action: string, payload: JsonSchema, options: JsonSchemaOptions): JsonSchema {
  const { properties, ...rest } = toJsonSchema(CALL, options) as { readonly properties: object };
  const fields = { id: toJsonSchema(IDENTIFIER, options), action: { type: "string", const: action } };
  return { ...rest, properties: { ...fields, ...properties, payload }, required: ["action"] };
}

/** The frame of an action's response. */
export function toResponse(action: keyof typeof RESULTS, options: JsonSchemaOptions): JsonSchema {
  return responseFrame(toJsonSchema(RESULTS[action], options), options);
}

/** The frame of a response with this data. */
export function responseFrame(data: JsonSchema, options: JsonSchemaOptions): JsonSchema {
  return toJsonSchema(SERVER_MESSAGES.response, { ...options, replace: new Map([[RESPONSE_DATA, data]]) });
}
