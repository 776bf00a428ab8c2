import { type AuthorizerContext, type AuthorizerResult, isConnectEvent } from "../../../apigw/index.ts";
import type { Connection, Json, JsonObject } from "../../../store/index.ts";
import type { Middleware } from "../../compose.ts";
import { type AnyContext, contextInternals } from "../../context.ts";
import { invalidOption, LiftError } from "../../errors.ts";

/** Identity that a token proves. */
export interface AuthIdentity {
  /** Id of the user; not empty. */
  readonly userId: string;
  /** Id of the tenant. A missing tenant is a scope of its own. */
  readonly tenantId?: string | undefined;
  /** Names of roles. Default: none. */
  readonly roles?: readonly string[] | undefined;
  /** Names of permissions, which `requirePermission` checks. Default: none. */
  readonly permissions?: readonly string[] | undefined;
  /** Expiry in ms since the epoch. Absent when it does not expire. */
  readonly expiresAt?: number | undefined;
}

/** Key of the identity in a row: in its metadata after `$connect`, in its state after a refresh. */
const KEY = "lift:auth";

const identities = new WeakMap<AnyContext, AuthIdentity>();

export function setAuthIdentity(ctx: AnyContext, identity: AuthIdentity): void {
  identities.set(ctx, identity);
}

/**
 * Returns the identity of an event's connection: from the authorizer if there is one, otherwise from `webSocketAuth` on
 * `$connect` and later from the connection's row. Returns `undefined` for an anonymous connection.
 * @example
 * const roles = authIdentity(ctx)?.roles ?? [];
 */
export function authIdentity(ctx: AnyContext): AuthIdentity | undefined {
  const known = identities.get(ctx);
  if (known !== undefined || ctx.userId === undefined) return known;
  const { authorizer } = ctx.event.requestContext;
  const authorized =
    authorizer !== undefined && contextInternals.settingsOf(ctx).identity(authorizer)?.userId !== undefined;
  const rest = authorized ? fromAuthorizer(authorizer) : fromRow(contextInternals.rowOf(ctx));
  const identity = { userId: ctx.userId, tenantId: ctx.tenantId, ...rest };
  // Not cached on $connect, because another middleware may still set the user or the tenant.
  if (!isConnectEvent(ctx.event)) identities.set(ctx, identity);
  return identity;
}

/**
 * Reads a refreshed identity from the row, for a connection with an authorizer, whose context never changes. Returns
 * `undefined` when there is none.
 */
export async function readRefreshedIdentity(ctx: AnyContext): Promise<AuthIdentity | undefined> {
  if (contextInternals.settingsOf(ctx).store === undefined || contextInternals.rowOf(ctx) !== undefined)
    return undefined;
  const row = await ctx.connection();
  if (row?.state[KEY] === undefined || ctx.userId === undefined) return undefined;
  const identity = { userId: ctx.userId, tenantId: ctx.tenantId, ...fromRow(row) };
  setAuthIdentity(ctx, identity);
  return identity;
}

/** Returns the expiry of a connection's token from its row, in ms since the epoch. */
export function expiryFromRow(row: Connection): number | undefined {
  return fromRow(row).expiresAt;
}

/**
 * Returns a middleware that rejects events whose identity lacks one of the permissions, with UNAUTHORIZED or FORBIDDEN.
 * @throws {LiftError} INVALID_OPTION when no permission is given
 * @example
 * app.webSocket("delete", { middleware: [requirePermission("messages:delete")] }, deleteMessage);
 */
export function requirePermission(...permissions: readonly string[]): Middleware {
  if (permissions.length === 0 || !permissions.every(isName)) {
    throw invalidOption("`requirePermission` requires at least one permission name");
  }
  return (ctx, next) => {
    const identity = authIdentity(ctx);
    if (identity === undefined) throw new LiftError("UNAUTHORIZED");
    const missing = permissions.find((permission) => !identity.permissions?.includes(permission));
    if (missing !== undefined) {
      throw new LiftError("FORBIDDEN", { cause: `The permission ${missing} is missing` });
    }
    return next();
  };
}

/**
 * Returns the entry that stores an identity's roles, permissions and expiry in a row's metadata or state.
 * @example
 * // In a mapping of another table: without it, a token that has expired keeps working.
 * const metadata = identityToRow({ expiresAt: Number(item.TokenExpiresAt?.N) });
 */
export function identityToRow({ roles, permissions, expiresAt }: Partial<AuthIdentity>): JsonObject {
  const stored: { [name: string]: Json } = {
    roles: [...(roles ?? [])],
    permissions: [...(permissions ?? [])],
  };
  if (expiresAt !== undefined) stored.expiresAt = expiresAt;
  return { [KEY]: stored };
}

/**
 * Returns the identity that a row has. Returns `undefined` for an anonymous connection.
 * @example
 * const { expiresAt } = identityFromRow(connection) ?? {};
 */
export function identityFromRow(row: Connection): AuthIdentity | undefined {
  const { userId, tenantId } = row;
  return userId === undefined ? undefined : { userId, tenantId, ...fromRow(row) };
}

function fromRow(row: Connection | undefined): Partial<AuthIdentity> {
  const stored = row?.state[KEY] ?? row?.metadata[KEY];
  if (typeof stored !== "object" || stored === null || Array.isArray(stored)) return {};
  const { roles, permissions, expiresAt } = stored as JsonObject;
  return {
    roles: onlyNames(roles),
    permissions: onlyNames(permissions),
    ...(typeof expiresAt === "number" ? { expiresAt } : {}),
  };
}

/** Returns the authorizer's context for an identity. It holds scalars only, which arrive as texts in later events. */
export function toAuthorizer(identity: AuthIdentity): NonNullable<AuthorizerResult["context"]> {
  const { userId, tenantId, roles = [], permissions = [], expiresAt } = identity;
  return {
    sub: userId,
    ...(tenantId === undefined ? {} : { tenant_id: tenantId }),
    ...(roles.length === 0 ? {} : { roles: JSON.stringify(roles) }),
    ...(permissions.length === 0 ? {} : { permissions: JSON.stringify(permissions) }),
    ...(expiresAt === undefined ? {} : { exp: Math.floor(expiresAt / 1_000) }),
  };
}

function fromAuthorizer({ roles, permissions, exp }: AuthorizerContext): Partial<AuthIdentity> {
  const seconds = Number(exp);
  // An unreadable expiry counts as expired.
  const expiresAt = Number.isFinite(seconds) ? seconds * 1_000 : 0;
  return {
    roles: parseList(roles),
    permissions: parseList(permissions),
    ...(exp === undefined ? {} : { expiresAt }),
  };
}

/** Parses a list in JSON, or separated by spaces or commas, as authorizers write it. */
function parseList(value: string | number | undefined): string[] {
  if (typeof value !== "string") return [];
  if (!value.startsWith("[")) return value.split(/[\s,]+/).filter((name) => name !== "");
  try {
    return onlyNames(JSON.parse(value) as Json);
  } catch {
    return [];
  }
}

function onlyNames(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(isName) : [];
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** Reads `sub`, `tenant_id`, `roles` and `permissions` (else `scope`) from a JWT. Lists may be words in a string. */
export function identityFromClaims(claims: { readonly [claim: string]: unknown }): AuthIdentity {
  const { sub, tenant_id, roles, permissions = claims.scope } = claims;
  const list = (value: unknown) => (typeof value === "string" ? parseList(value) : (value ?? []));
  // validateIdentity checks the types.
  return {
    userId: sub,
    tenantId: tenant_id,
    roles: list(roles),
    permissions: list(permissions),
  } as AuthIdentity;
}

/**
 * Validates an identity from any source. A field of the wrong type is an error, not a missing field.
 * @throws {LiftError} UNAUTHORIZED
 */
export function validateIdentity(given: unknown): AuthIdentity {
  const identity = typeof given === "string" ? { userId: given } : (given as AuthIdentity | undefined);
  const { userId, tenantId, roles = [], permissions = [], expiresAt } = identity ?? ({} as AuthIdentity);
  const isList = (value: unknown) => Array.isArray(value) && value.every(isName);
  const wrong =
    (!isName(userId) && "the user") ||
    (tenantId !== undefined && !isName(tenantId) && "the tenant") ||
    (!isList(roles) && "the roles") ||
    (!isList(permissions) && "the permissions") ||
    (expiresAt !== undefined && !Number.isFinite(expiresAt) && "the expiry");
  if (wrong) throw new LiftError("UNAUTHORIZED", { cause: `The identity is malformed: ${wrong}` });
  return { userId, tenantId, roles, permissions, expiresAt };
}
