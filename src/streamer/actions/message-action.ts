import type { Actions, MessageAction } from "../../lift/index.ts";
import { ACTIONS, type Action, parseChannelName, type Request } from "../../protocol/index.ts";

const NAMES: ReadonlySet<unknown> = new Set(ACTIONS);

/** Tells Lift what messages ask for, so that limits, metrics, traces and logs know more than `$default`. */
export function streamerActions(namespaces: ReadonlyMap<string, unknown>): Actions {
  const names = ACTIONS.flatMap((name) => [name, ...[...namespaces.keys()].map((one) => `${name}:${one}`)]);
  return {
    names,
    read(ctx) {
      const name = ctx.body("action");
      if (!NAMES.has(name)) return undefined;
      const isLegacy = name === "message";
      const payload = ctx.body(isLegacy ? "data" : "payload");
      const action = isLegacy ? legacyAction(ctx.body("type")) : (name as Action);
      return { name: action, namespaces: namespacesOf(payload, namespaces) };
    },
  };
}

/** The action that a request asks for. The first clients' `message` asks for one of two. */
export function actionOf({ action, payload }: Request): Action {
  return action === "message" ? legacyAction(payload.type) : action;
}

/** @param namespaces those that there are */
export function messageAction(request: Request, namespaces: ReadonlyMap<string, unknown>): MessageAction {
  return { name: actionOf(request), namespaces: namespacesOf(request.payload, namespaces) };
}

function legacyAction(type: unknown): Action {
  if (type === "presence") return "set_presence";
  return type === "chat" || type === "stream" ? "publish" : "message";
}

/** Reads an unchecked payload. A client must not make up names that become labels of metrics. */
function namespacesOf(payload: unknown, known: ReadonlyMap<string, unknown>): readonly string[] {
  if (typeof payload !== "object" || payload === null) return [];
  const { channel, channels } = payload as { readonly channel?: unknown; readonly channels?: unknown };
  const all: readonly unknown[] = Array.isArray(channels) ? channels : [channel];
  const found = all.map((one) => namespaceOf(one)).filter((name) => name !== undefined && known.has(name));
  return [...new Set(found as string[])];
}

function namespaceOf(channel: unknown): string | undefined {
  const text =
    typeof channel === "object" && channel !== null ? (channel as { channel?: unknown }).channel : channel;
  return typeof text === "string" ? parseChannelName(text)?.namespace : undefined;
}
