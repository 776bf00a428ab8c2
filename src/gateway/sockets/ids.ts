import { randomFillSync } from "node:crypto";

/** 11 bytes make 15 characters of base64url and one `=`: the shape of the service's ids. */
const ID_BYTES = 11;
const POOL_BYTES = ID_BYTES * 256;

const pool = Buffer.allocUnsafeSlow(POOL_BYTES);
let used = POOL_BYTES;

/** A connection, request or message id in the service's shape, from the system's random source. */
export function createId(): string {
  if (used === POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const start = used;
  used += ID_BYTES;
  return `${pool.toString("base64url", start, used)}=`;
}

const START_BYTES = 9;

/** The ends of ids, ready-made: the last two bytes of each, in the text that they are. */
const ENDS = Array.from({ length: 4_096 }, (_, end) => `${Buffer.of(end >> 8, end).toString("base64url")}=`);

let start = "";
let next = 0;

/** As `newId` and unique as those, but not a secret: 4,096 in a row differ in their end only, which costs far less. */
export function createTransientId(): string {
  const end = next++ % ENDS.length;
  if (end === 0) start = randomFillSync(Buffer.allocUnsafe(START_BYTES)).toString("base64url");
  return start + ENDS[end];
}

/** Whether the service would take it for a connection's id: well-formed, open or not. */
export function isConnectionId(value: string): boolean {
  return /^[\w-]{15}=$/.test(value);
}

const API_ID_LENGTH = 10;

/** A random API id in the service's shape: ten small letters and digits. */
export function createApiId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(API_ID_LENGTH));
  return Array.from(bytes, (byte) => (byte % 36).toString(36)).join("");
}
