import { LiftError } from "../lift/index.ts";
import type { LegacyMessage, RefreshPayload, Request } from "../protocol/index.ts";
import { download, upload } from "./actions/blobs.ts";
import { heartbeat } from "./actions/heartbeat.ts";
import { history } from "./actions/history.ts";
import { actionOf, messageAction } from "./actions/message-action.ts";
import { presence, setPresence } from "./actions/presence.ts";
import { publish } from "./actions/publish.ts";
import { subscribe, unsubscribe } from "./actions/subscribe.ts";
import type { Core, Session } from "./core.ts";
import { stream, streamEnd, streamStart } from "./live-streams/live-streams.ts";
import { assertOwn } from "./own-actions.ts";

/**
 * Does what a client asks, and answers it.
 * @throws {LiftError} and nothing has been answered; FORBIDDEN where the application handles the action itself
 */
export async function act(request: Request, session: Session, core: Core): Promise<void> {
  assertOwn(actionOf(request), core);
  switch (request.action) {
    case "subscribe":
      return subscribe(request.payload, session, core);
    case "unsubscribe":
      return unsubscribe(request.payload, session, core);
    case "publish":
      return publish(request.payload, session, core);
    case "history":
      return history(request.payload, session, core);
    case "presence":
      return presence(request.payload, session, core);
    case "set_presence":
      return setPresence(request.payload, session, core);
    case "stream_start":
      return streamStart(request.payload, session, core);
    case "stream_end":
      return streamEnd(request.payload, session, core);
    case "stream":
      return stream(request.payload, session, core);
    case "heartbeat":
      return heartbeat(request.payload, session, core);
    case "refresh":
      return refresh(request.payload, session, core);
    case "upload":
      return upload(request.payload, session, core);
    case "download":
      return download(request.payload, session, core);
    case "part":
      return part(request, session, core);
    case "message":
      return message(request.payload, session, core);
  }
}

async function refresh({ token }: RefreshPayload, { ctx }: Session, core: Core): Promise<void> {
  if (core.refresh === undefined) {
    throw new LiftError("NOT_FOUND", { message: "There are no tokens to refresh here" });
  }
  await core.refresh(ctx, token);
}

async function part(
  { id, payload }: Extract<Request, { action: "part" }>,
  session: Session,
  core: Core,
): Promise<void> {
  const whole = await core.parts.join(payload, id, session);
  if (whole === undefined) return;
  // The application's route has checks of its own, and parts must not lead around them.
  if (core.hasRoute(whole.action)) {
    throw new LiftError("TOO_LARGE", { status: 413, message: "The action's message comes in one frame" });
  }
  await session.ctx.actAs(messageAction(whole, core.channels.namespaces));
  await act(whole, session, core);
}

/** As the first clients speak. */
function message({ type, channel, data }: LegacyMessage, session: Session, core: Core): Promise<void> {
  if (type !== "presence") return publish({ channel, data }, session, core);
  const { state } = data;
  return setPresence({ channel, ...(state === undefined ? {} : { state }) }, session, core);
}
