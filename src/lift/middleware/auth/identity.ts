import { type AuthorizerContext, type AuthorizerResult, isConnectEvent } from "../../../apigw/index.ts";
import type { Connection, Json, JsonObject } from "../../../store/index.ts";
import type { Middleware } from "../../compose.ts";
import { type AnyContext, rowOf, settingsOf } from "../../context.ts";
import { LiftError } from "../../errors.ts";

/** Who a token speaks for. */
export interface AuthIdentity {
  readonly userId: string;
  /** Absent means a scope of its own. */
  readonly tenantId?: string | undefined;
  readonly roles?: readonly string[] | undefined;
  readonly permissions?: readonly string[] | undefined;
  /** ms since the epoch; absent: it does not expire. */
  readonly expiresAt?: number | undefined;
}

/** Where a row keeps what it has no field for: in its metadata from the start, in its state once refreshed. */
const KEY = "lift:auth";

const established = new WeakMap<AnyContext, AuthIdentity>();

export function setAuthIdentity(ctx: AnyContext, identity: AuthIdentity): void {
  established.set(ctx, identity);
}

/**
 * Whose event this is: as `webSocketAuth` has found on `$connect`, later as the authorizer or the connection's row
 * says. `undefined`: nobody's.
 */
export function authIdentity(ctx: AnyContext): AuthIdentity | undefined {
  const known = established.get(ctx);
  if (known !== undefined || ctx.userId === undefined) return known;
  const { authorizer } = ctx.event.requestContext;
  const authorized = authorizer !== undefined && settingsOf(ctx).identity(authorizer)?.userId !== undefined;
  const rest = authorized ? fromAuthorizer(authorizer) : fromRow(rowOf(ctx));
  const identity = { userId: ctx.userId, tenantId: ctx.tenantId, ...rest };
  // On $connect another middleware may still set it.
  if (!isConnectEvent(ctx.event)) established.set(ctx, identity);
  return identity;
}

/**
 * What the connection has been refreshed to, where this event knows it from the authorizer, whose context never
 * changes: for that it reads the row. `undefined`: nothing newer.
 */
export async function readRefreshedIdentity(ctx: AnyContext): Promise<AuthIdentity | undefined> {
  if (settingsOf(ctx).store === undefined || rowOf(ctx) !== undefined) return undefined;
  const row = await ctx.connection();
  if (row?.state[KEY] === undefined || ctx.userId === undefined) return undefined;
  const identity = { userId: ctx.userId, tenantId: ctx.tenantId, ...fromRow(row) };
  setAuthIdentity(ctx, identity);
  return identity;
}

/** Until when a connection's token is good, as its row says: ms since the epoch. */
export function expiryFromRow(row: Connection): number | undefined {
  return fromRow(row).expiresAt;
}

/**
 * Lets an event pass whose identity has all of these permissions: for a route's own middleware.
 * @throws {LiftError} INVALID_OPTION: none is named; on an event UNAUTHORIZED, FORBIDDEN
 */
export function requirePermission(...permissions: readonly string[]): Middleware {
  if (permissions.length === 0 || !permissions.every(isName)) {
    throw new LiftError("INVALID_OPTION", { message: "requirePermission needs the name of a permission" });
  }
  return (ctx, next) => {
    const identity = authIdentity(ctx);
    if (identity === undefined) throw new LiftError("UNAUTHORIZED");
    const missing = permissions.find((permission) => !identity.permissions?.includes(permission));
    if (missing !== undefined)
      throw new LiftError("FORBIDDEN", { cause: `The permission ${missing} is missing` });
    return next();
  };
}

/** What a row keeps of an identity, for its later events: as its metadata, and as entries of its state once refreshed. */
export function toRow({ roles, permissions, expiresAt }: AuthIdentity): JsonObject {
  const kept: { [name: string]: Json } = { roles: [...(roles ?? [])], permissions: [...(permissions ?? [])] };
  if (expiresAt !== undefined) kept.expiresAt = expiresAt;
  return { [KEY]: kept };
}

function fromRow(row: Connection | undefined): Partial<AuthIdentity> {
  const kept = row?.state[KEY] ?? row?.metadata[KEY];
  if (typeof kept !== "object" || kept === null || Array.isArray(kept)) return {};
  const { roles, permissions, expiresAt } = kept as JsonObject;
  return {
    roles: onlyNames(roles),
    permissions: onlyNames(permissions),
    ...(typeof expiresAt === "number" ? { expiresAt } : {}),
  };
}

/** What an authorizer puts into every later event: scalars only, which arrive as texts. */
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
  // One that can't be read is over, rather than never.
  const expiresAt = Number.isFinite(seconds) ? seconds * 1_000 : 0;
  return {
    roles: parseList(roles),
    permissions: parseList(permissions),
    ...(exp === undefined ? {} : { expiresAt }),
  };
}

/** A list as authorizers write it: as JSON, or by spaces or commas. */
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

/** Reads `sub`, `tenant_id`, `roles` and `permissions` (else `scope`) from a JWT; lists may be words in a string. */
export function identityFromClaims(claims: { readonly [claim: string]: unknown }): AuthIdentity {
  const { sub, tenant_id, roles, permissions = claims.scope } = claims;
  const list = (value: unknown) => (typeof value === "string" ? parseList(value) : (value ?? []));
  // Not checked yet: checkedIdentity does.
  return {
    userId: sub,
    tenantId: tenant_id,
    roles: list(roles),
    permissions: list(permissions),
  } as AuthIdentity;
}

/**
 * An identity, whoever made it. What is there in the wrong form is refused, not taken for missing.
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
