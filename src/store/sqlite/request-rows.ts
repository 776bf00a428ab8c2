import type { SQLOutputValue } from "node:sqlite";
import type { Json } from "../contracts/json.ts";
import type { RequestRecord } from "../contracts/request-transitions.ts";
import type {
  OutputItem,
  RequestFailure,
  RequestKey,
  RequestProgress,
  RequestState,
  StoredRequest,
} from "../contracts/requests.ts";
import { badRowError, decodeText, encodeText, parseJson, type Row } from "./rows.ts";

/** A request's row. */
export interface RequestRow extends RequestRecord {
  readonly key: number;
}

/** The fields of a request that no statement needs. */
type Details = Pick<StoredRequest, "action" | "identity" | "requester">;

const STATES: readonly unknown[] = [
  "PENDING",
  "PROCESSING",
  "RETRYING",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
] satisfies RequestState[];

/** Names a request in an error. */
export function describeRequest({ owner, id }: RequestKey): string {
  return `request ${encodeText(id)} of ${encodeText(owner)}`;
}

export function encodeDetails({ action, identity, requester }: StoredRequest): string {
  return JSON.stringify({ action, identity, requester });
}

/** @throws {StoreError} BAD_ROW */
export function parseRequestRow(row: Row, key: RequestKey): RequestRow {
  const { priority, createdAt, attempt, updatedAt, dueAt, leaseUntil, expiresAt } = row;
  const tenant = parseOptional(row.tenant, isText);
  const details = parseOptional(row.details, isDetails);
  const failure = parseOptional(row.failure, isFailure);
  const progress = parseOptional(row.progress, isProgress);
  const token = parseOptional(row.token, isText);
  const numbers = [row.key, priority, createdAt, attempt, updatedAt, dueAt, leaseUntil ?? 0, expiresAt ?? 0];
  const { state } = row as { readonly state: RequestState };
  const valid =
    ![tenant, details, failure, progress, token].includes(MALFORMED) &&
    tenant !== undefined &&
    details !== undefined &&
    STATES.includes(state) &&
    numbers.every((each) => typeof each === "number") &&
    // Otherwise it would never be claimed, or never expire.
    (leaseUntil !== null) === (state === "PROCESSING") &&
    (expiresAt !== null) === (["COMPLETED", "FAILED", "CANCELLED"] as RequestState[]).includes(state);
  if (!valid) throw badRowError(`The row of ${describeRequest(key)}`);
  const request = {
    ...{ owner: key.owner, id: key.id, tenant, priority, createdAt, dueAt, state, attempt, updatedAt },
    ...(details as Details),
    ...(leaseUntil === null ? {} : { leaseUntil }),
    ...(progress === undefined ? {} : { progress }),
    ...(failure === undefined ? {} : { failure }),
  } as StoredRequest;
  return {
    key: row.key as number,
    request,
    fingerprint: String(row.fingerprint),
    ...(token === undefined ? {} : { token: token as string }),
    ...(expiresAt === null ? {} : { expiresAt: expiresAt as number }),
  };
}

/** Returns no request when the row is malformed, so that a list has the others. */
export function parseWellFormed(row: Row): StoredRequest[] {
  const [owner, id] = [row.owner, row.id].map((text) => decodeText(String(text)));
  if (owner === undefined || id === undefined) return [];
  try {
    return [parseRequestRow(row, { owner, id }).request];
  } catch {
    return [];
  }
}

/** @throws {StoreError} BAD_ROW */
export function parseRequestJson(json: SQLOutputValue | undefined, subject: string, key: RequestKey): Json {
  const value = typeof json === "string" ? parseJson(json) : undefined;
  if (value === undefined) throw badRowError(`The ${subject} of ${describeRequest(key)}`);
  return value;
}

/** @throws {StoreError} BAD_ROW */
export function parseOutputItem(row: Row, key: RequestKey): OutputItem {
  const { offset, chunks, bytes, at } = row;
  const subject = `output item ${offset}`;
  const data = parseRequestJson(row.data, subject, key);
  if (!isObject(data)) throw badRowError(`The ${subject} of ${describeRequest(key)}`);
  return { offset, data, chunks, bytes, at } as unknown as OutputItem;
}

/** A text that is not what the column should have. */
const MALFORMED = Symbol("malformed");

function parseOptional<Value>(
  text: SQLOutputValue | undefined,
  isValid: (value: unknown) => value is Value,
): Value | undefined | typeof MALFORMED {
  if (text === null) return undefined;
  const value = typeof text === "string" ? parseJson(text) : undefined;
  return isValid(value) ? value : MALFORMED;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isDetails(value: unknown): value is Details {
  if (!isObject(value) || typeof value.action !== "string" || !isObject(value.identity)) return false;
  const { requester } = value;
  if (requester === undefined) return true;
  return isObject(requester) && isText(requester.connectionId) && isText(requester.endpoint);
}

function isFailure(value: unknown): value is RequestFailure {
  return isObject(value) && isText(value.code) && isText(value.message);
}

function isProgress(value: unknown): value is RequestProgress {
  return isObject(value) && typeof value.percentage === "number";
}

function isObject(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
