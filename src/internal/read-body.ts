import type { IncomingMessage } from "node:http";

/**
 * Reads the body of a request. Returns `undefined` for one over the limit: its rest stays unread, and the socket open for the
 * response. Rejects when the client hangs up.
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    length += chunk.length;
    if (length > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
