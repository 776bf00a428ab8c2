import { LiftError } from "../../lift/index.ts";
import type { HeartbeatPayload, Position } from "../../protocol/index.ts";
import type { Core, Session } from "../core.ts";
import { fromStore } from "../fan-out/errors.ts";
import { assertMay } from "../namespaces.ts";
import { answer } from "../responses.ts";

export async function heartbeat(
  { positions = new Map() }: HeartbeatPayload,
  session: Session,
  core: Core,
): Promise<void> {
  const asked = [...positions].map(async ([text, position]: [string, Position]) => {
    const head = await headOf(text, session, core);
    const isThere = head === undefined || (head.epoch === position.epoch && head.offset === position.offset);
    return isThere ? [] : [[text, head] as const];
  });
  const [moved] = await Promise.all([Promise.all(asked), core.sweep.heard(session)]);
  await answer<"heartbeat">(session, { heads: Object.fromEntries(moved.flat()) });
}

/** `undefined`: nothing that this client may know of. */
async function headOf(
  text: string,
  { identity, budget }: Session,
  core: Core,
): Promise<Position | undefined> {
  try {
    const channel = core.channels.find(text, identity.tenantId);
    await assertMay("subscribe", identity, channel);
    if (channel.namespace.bounds === undefined) return undefined;
    return await fromStore(core.store.history.readHead(channel.key, budget));
  } catch (thrown) {
    if (thrown instanceof LiftError && (thrown.code === "FORBIDDEN" || thrown.code === "NOT_FOUND"))
      return undefined;
    throw thrown;
  }
}
