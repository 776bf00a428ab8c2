import { randomFillSync } from "node:crypto";

/** 11 bytes are 15 characters of base64url and one `=`, the form of the service's ids. */
const ID_BYTES = 11;
const POOL_BYTES = ID_BYTES * 256;

const pool = Buffer.allocUnsafeSlow(POOL_BYTES);
let used = POOL_BYTES;

/** Creates a connection or request id in the service's form, from the system's random source. */
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

/** Precomputed ends of ids: every value of the last 12 bits, encoded. */
const ENDS = Array.from({ length: 4_096 }, (_, end) => `${Buffer.of(end >> 8, end).toString("base64url")}=`);

let start = "";
let next = 0;

/** Creates an id that is unique but not secret: 4,096 ids in a row share their start, which costs far less. */
export function createTransientId(): string {
  const end = next++ % ENDS.length;
  if (end === 0) start = randomFillSync(Buffer.allocUnsafe(START_BYTES)).toString("base64url");
  return start + ENDS[end];
}

/** Returns whether a text has the form of a connection id. The connection need not exist. */
export function isConnectionId(value: string): boolean {
  return /^[\w-]{15}=$/.test(value);
}

const API_ID_LENGTH = 10;

/**
 * Creates a random API id in the service's form: ten lowercase letters and digits.
 * @example
 * const gateway = createGateway({ handler, apiId: createApiId() });
 */
export function createApiId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(API_ID_LENGTH));
  return Array.from(bytes, (byte) => (byte % 36).toString(36)).join("");
}
