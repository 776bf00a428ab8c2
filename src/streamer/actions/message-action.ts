import type { Actions, MessageAction } from "../../lift/index.ts";
import {
  ACTIONS,
  type Action,
  type CallMessage,
  parseChannelName,
  type Request,
} from "../../protocol/index.ts";

const NAMES: ReadonlySet<unknown> = new Set(ACTIONS);

/**
 * Names the actions of messages for Lift, so that rate limits, metrics, traces and logs tell them apart instead of using
 * `$default`.
 * @param calls the application's own actions
 */
export function createActions(
  namespaces: ReadonlyMap<string, unknown>,
  calls: ReadonlyMap<string, unknown>,
): Actions {
  const ofProtocol = ACTIONS.flatMap((action) => [
    action,
    ...[...namespaces.keys()].map((namespace) => `${action}:${namespace}`),
  ]);
  return {
    get names() {
      return [...ofProtocol, ...calls.keys()];
    },
    read(ctx) {
      const name = ctx.body("action");
      if (typeof name === "string" && calls.has(name)) return { name, namespaces: [] };
      if (!NAMES.has(name)) return undefined;
      const isLegacy = name === "message";
      const payload = ctx.body(isLegacy ? "data" : "payload");
      const action = isLegacy ? toAction(ctx.body("type")) : (name as Action);
      return { name: action, namespaces: findNamespaces(payload, namespaces) };
    },
  };
}

/** Returns the action of a request. The legacy `message` is either a `publish` or a `set_presence`. */
export function readAction({ action, payload }: Request | CallMessage): string {
  if (action === "call") return payload.action;
  return action === "message" ? toAction(payload.type) : action;
}

/** @param namespaces the configured ones */
export function toMessageAction(
  request: Request | CallMessage,
  namespaces: ReadonlyMap<string, unknown>,
): MessageAction {
  const payload = request.action === "call" ? undefined : request.payload;
  return { name: readAction(request), namespaces: findNamespaces(payload, namespaces) };
}

function toAction(legacyType: unknown): Action {
  if (legacyType === "presence") return "set_presence";
  return legacyType === "chat" || legacyType === "stream" ? "publish" : "message";
}

/** Reads an unchecked payload. Only configured namespaces count, because names become labels of metrics. */
function findNamespaces(payload: unknown, configured: ReadonlyMap<string, unknown>): readonly string[] {
  if (typeof payload !== "object" || payload === null) return [];
  const { channel, channels } = payload as { readonly channel?: unknown; readonly channels?: unknown };
  const all: readonly unknown[] = Array.isArray(channels) ? channels : [channel];
  const found = all
    .map((each) => findNamespace(each))
    .filter((name) => name !== undefined && configured.has(name));
  return [...new Set(found as string[])];
}

function findNamespace(channel: unknown): string | undefined {
  const name =
    typeof channel === "object" && channel !== null ? (channel as { channel?: unknown }).channel : channel;
  return typeof name === "string" ? parseChannelName(name)?.namespace : undefined;
}
