import { randomFillSync } from "node:crypto";

/** 11 bytes make 15 characters of base64url and one `=`: the shape of the service's ids. */
const ID_BYTES = 11;
const POOL_BYTES = ID_BYTES * 256;

const pool = Buffer.allocUnsafeSlow(POOL_BYTES);
let used = POOL_BYTES;

/** A connection, request or message id in the service's shape, from the system's random source. */
export function newId(): string {
  if (used === POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const start = used;
  used += ID_BYTES;
  return `${pool.toString("base64url", start, used)}=`;
}

const ID_LENGTH = 16;
const BATCH = 256;
const EQUALS_SIGN = 0x3d;

let batch = "";
let taken = BATCH;

/** As `newId`, at a fraction of its price, for what does not outlive its message: each keeps its whole batch in memory. */
export function newTransientId(): string {
  if (taken === BATCH) {
    batch = newBatch();
    taken = 0;
  }
  const start = taken++ * ID_LENGTH;
  return batch.slice(start, start + ID_LENGTH);
}

/** Many ids in one text: 11 bytes and a zero are 16 characters, of which the last says nothing and becomes the `=`. */
function newBatch(): string {
  const bytes = randomFillSync(Buffer.allocUnsafe((ID_BYTES + 1) * BATCH));
  for (let last = ID_BYTES; last < bytes.length; last += ID_BYTES + 1) bytes[last] = 0;
  const text = Buffer.from(bytes.toString("base64url"), "latin1");
  for (let last = ID_LENGTH - 1; last < text.length; last += ID_LENGTH) text[last] = EQUALS_SIGN;
  return text.toString("latin1");
}

/** Whether the service would take it for a connection's id: well-formed, open or not. */
export function isConnectionId(value: string): boolean {
  return /^[\w-]{15}=$/.test(value);
}
