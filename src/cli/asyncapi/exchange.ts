import type { Action, Payloads, ResponseMessage, Results } from "../../protocol/index.ts";
import { id } from "./payload-schemas.ts";
import { type AnySchema, constant, type Schema, text } from "./schema.ts";

/** A client's request and its answer, each a whole frame. */
export interface Exchange {
  readonly summary: string;
  readonly request: AnySchema;
  /** Absent: none of its own. */
  readonly response?: AnySchema;
}

/** @param payload of all that may be missing from it, so may the payload itself */
export function exchange<Name extends Exclude<Action, "message">>(
  action: Name,
  summary: string,
  payload: Schema<Payloads[Name]>,
  ...result: [Results[Name]] extends [never] ? [] : [result: Schema<Results[Name]>]
): Exchange {
  const request = {
    type: "object",
    properties: { id, action: constant(action), payload },
    required: ["action", ...("required" in payload ? ["payload"] : [])],
  };
  const [data] = result as readonly Schema<Results[Name]>[];
  return { summary, request, ...(data !== undefined && { response: response(data) }) };
}

export function response<Name extends Action>(data: Schema<Results[Name]>): AnySchema {
  const properties: { readonly [Field in keyof ResponseMessage]: AnySchema } = {
    type: constant("response"),
    request_id: text,
    success: constant(true),
    data,
  };
  return { type: "object", properties, required: Object.keys(properties) };
}
