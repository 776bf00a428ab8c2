import { describe, expect, it } from "vitest";
import {
  identityFromClaims,
  identityFromRow,
  identityToRow,
  requirePermission,
  toAuthorizer,
  validateIdentity,
} from "./identity.ts";

/** The row of an anonymous connection. */
const ROW = {
  id: "a",
  metadata: {},
  state: {},
  sourceIp: "127.0.0.1",
  endpoint: "https://api.example/prod",
  connectedAt: 0,
  expiresAt: 1,
};
const EMPTY = { userId: "ada", tenantId: undefined, roles: [], permissions: [], expiresAt: undefined };

describe("validateIdentity", () => {
  it("accepts a user's id alone", () => {
    expect(validateIdentity("ada")).toEqual(EMPTY);
    expect(validateIdentity({ userId: "ada" })).toEqual(EMPTY);
  });

  it("keeps every field, and no others", () => {
    const identity = { userId: "ada", tenantId: "acme", roles: ["r"], permissions: ["p", "q"], expiresAt: 0 };
    expect(validateIdentity({ ...identity, email: "ada@example.com" })).toEqual(identity);
  });

  it.each([
    [undefined, "the user"],
    ["", "the user"],
    [{}, "the user"],
    [{ userId: "" }, "the user"],
    [{ userId: 7 }, "the user"],
    [{ userId: "ada", tenantId: "" }, "the tenant"],
    [{ userId: "ada", tenantId: null }, "the tenant"],
    [{ userId: "ada", roles: "admin" }, "the roles"],
    [{ userId: "ada", roles: ["admin", ""] }, "the roles"],
    [{ userId: "ada", roles: ["admin", 7] }, "the roles"],
    [{ userId: "ada", permissions: {} }, "the permissions"],
    [{ userId: "ada", permissions: [null] }, "the permissions"],
    [{ userId: "ada", expiresAt: Number.NaN }, "the expiry"],
    [{ userId: "ada", expiresAt: Number.POSITIVE_INFINITY }, "the expiry"],
    [{ userId: "ada", expiresAt: "1" }, "the expiry"],
  ])("rejects %o and names %s", (given, wrong) => {
    expect(() => validateIdentity(given)).toThrow(
      expect.objectContaining({ code: "UNAUTHORIZED", cause: `The identity is malformed: ${wrong}` }),
    );
  });
});

describe("identityFromClaims", () => {
  it("reads lists and words, and `scope` without `permissions`", () => {
    expect(identityFromClaims({ sub: "ada", tenant_id: "acme", roles: ["r"], permissions: "p, q" })).toEqual({
      userId: "ada",
      tenantId: "acme",
      roles: ["r"],
      permissions: ["p", "q"],
    });
    expect(identityFromClaims({ sub: "ada", roles: " a  b,c ", scope: "p q" })).toMatchObject({
      roles: ["a", "b", "c"],
      permissions: ["p", "q"],
    });
    expect(identityFromClaims({ sub: "ada", permissions: [], scope: "p" })).toMatchObject({
      roles: [],
      permissions: [],
    });
  });

  it("leaves a claim of another type for validateIdentity to reject", () => {
    expect(() => validateIdentity(identityFromClaims({ sub: "ada", roles: 7 }))).toThrow();
    expect(identityFromClaims({ sub: "ada", roles: '["a",7,""]', scope: "[" })).toMatchObject({
      roles: ["a"],
      permissions: [],
    });
  });
});

describe("an identity's authorizer context", () => {
  it("has only the fields that the identity has", () => {
    expect(toAuthorizer({ userId: "ada" })).toEqual({ sub: "ada" });
    expect(toAuthorizer({ userId: "ada", roles: [], permissions: [] })).toEqual({ sub: "ada" });
  });

  it("has lists as JSON and the expiry in whole seconds", () => {
    const identity = { userId: "ada", tenantId: "acme", roles: ["r"], permissions: ["p"], expiresAt: 1_999 };
    expect(toAuthorizer(identity)).toEqual({
      sub: "ada",
      tenant_id: "acme",
      roles: '["r"]',
      permissions: '["p"]',
      exp: 1,
    });
  });
});

it("identityToRow stores lists and the expiry under one key", () => {
  expect(identityToRow({ userId: "ada" })).toEqual({ "lift:auth": { roles: [], permissions: [] } });
  expect(identityToRow({ userId: "ada", roles: ["r"], permissions: ["p"], expiresAt: 5 })).toEqual({
    "lift:auth": { roles: ["r"], permissions: ["p"], expiresAt: 5 },
  });
});

it("identityToRow stores no field for an identity that does not expire", () => {
  expect(Object.keys(identityToRow({ userId: "ada" })["lift:auth"] as object)).toEqual([
    "roles",
    "permissions",
  ]);
});

it("identityFromRow reads what identityToRow stores", () => {
  const row = { ...ROW, userId: "ada", tenantId: "acme" };
  const identity = { roles: ["r"], permissions: ["p"], expiresAt: 5 };
  expect(identityFromRow({ ...row, metadata: identityToRow(identity) })).toEqual({
    userId: "ada",
    tenantId: "acme",
    ...identity,
  });
  expect(identityFromRow(row)).toEqual({ userId: "ada", tenantId: "acme" });
  expect(identityFromRow(ROW)).toBeUndefined();
});

it.each([null, "admin", ["admin"]])(
  "identityFromRow reads %j in place of an identity as no roles",
  (stored) => {
    const row = { ...ROW, userId: "ada", metadata: { "lift:auth": stored } };
    expect(identityFromRow(row)).toEqual({ userId: "ada", tenantId: undefined });
  },
);

it.each([[[]], [[""]], [["a", ""]], [[7]]])("requirePermission rejects the names %j", (names) => {
  expect(() => requirePermission(...(names as string[]))).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION" }),
  );
});
