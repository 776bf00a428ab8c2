import type { Failure } from "./requests.ts";

/** An error that the client may read. */
export class ClientError extends Error implements Failure {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export const acknowledgment = (request_id: string) => ({
  type: "acknowledgment",
  request_id,
  status: "queued",
  message: "The request is stored",
});

export const response = (request_id: string, data: unknown) => ({
  type: "response",
  request_id,
  success: true,
  data,
});

export const progress = (request_id: string, percentage: number, message: string) => ({
  type: "progress",
  request_id,
  percentage,
  message,
});

export const complete = (request_id: string, result: unknown) => ({
  type: "complete",
  request_id,
  success: true,
  result,
});

export const failure = (request_id: string, { code, message }: Failure) => ({
  type: "error",
  request_id,
  error: { code, message },
});
