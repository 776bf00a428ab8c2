/**
 * The outcome of a message that was passed on in the same process. All such messages share this promise: Lift returns it
 * as it is, so that a reply costs no promise of its own.
 */
export const SENT: Promise<"sent"> = Promise.resolve("sent");
