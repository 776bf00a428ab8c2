import { LIMITS } from "./limits.ts";
import { described, type Infer, integer, named, object, text } from "./schema.ts";

export const POSITION = described(
  "A position in a channel's history.",
  named("Position", object({ epoch: text(1, LIMITS.idBytes), offset: integer(0) })),
);

/** A position in a channel's history. PROTOCOL.md, "Channels". */
export interface Position extends Infer<typeof POSITION> {}
