import type { Json, OutputItem } from "../../store/index.ts";

/** The output of a request, as its handler writes it. Chunks are gathered, stored, and only then sent. */
export interface RequestOutput {
  /**
   * How many chunks earlier attempts have written. Output is never taken back, so a handler that runs again goes on after
   * them.
   */
  readonly written: number;
  /**
   * Writes a chunk: a text, or any JSON value of at most 65,536 bytes. Texts that follow each other are joined. Resolves when
   * the next chunk may be written: at once while little waits to be stored. Await it, so that a slow store slows the handler.
   * The handler's end waits for the rest.
   * @throws {LiftError} NOT_JSON, TOO_LARGE, RATE_LIMITED (the output has reached its limit), STORE_FAILED; CANCELLED when
   * the request is not this handler's any more
   * @example
   * for await (const token of model.stream(prompt, { signal })) await output.write(token);
   */
  write(chunk: unknown): Promise<void>;
  /**
   * Writes everything that a source yields: a stream of Node or the web, or any iterable. Bytes are decoded as UTF-8. Splits
   * text into chunks of about 10,000 UTF-16 code units, and skips empty text. Stops when the request's `signal` aborts.
   * @example
   * await output.from(response.body);
   */
  from(source: AsyncIterable<unknown> | Iterable<unknown>): Promise<void>;
}

/** The largest chunk, in bytes of JSON. */
export const MAX_CHUNK_BYTES = 65_536;

/** Returns where a piece of a text ends: after `length` UTF-16 code units, and never within a character. */
export function endOfPiece(text: string, start: number, length: number): number {
  const end = start + length;
  return /[\ud800-\udbff]/.test(text.charAt(end - 1)) ? end + 1 : end;
}

/** The data of an item of an output. */
export type OutputData = OutputItem["data"];

export function isText(data: OutputData): data is { readonly text: string } {
  return "text" in data;
}

export function isValues(data: OutputData): data is { readonly values: readonly Json[] } {
  return "values" in data;
}
