import { describe, expect, it } from "vitest";
import { Signer } from "./sign.ts";

const CREDENTIALS = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
};
const NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const NOON = Date.UTC(2015, 7, 30, 12, 36, 0);

const sign = (signer: Signer, at = NOON, credentials: Parameters<Signer["sign"]>[1] = CREDENTIALS) =>
  signer.sign(
    { method: "GET", path: "/", headers: { host: "example.amazonaws.com" }, payloadHash: NOTHING },
    credentials,
    at,
  );

describe("Signer", () => {
  // Source: "get-vanilla" of AWS's own Signature Version 4 test suite.
  it("passes AWS's test suite", () => {
    expect(sign(new Signer({ service: "service", region: "us-east-1" }))).toEqual({
      host: "example.amazonaws.com",
      "x-amz-date": "20150830T123600Z",
      authorization:
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " +
        "SignedHeaders=host;x-amz-date, " +
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    });
  });

  it("derives a new key for another day or secret", () => {
    const options = { service: "service", region: "us-east-1" };
    const kept = new Signer(options);
    const anew = (...more: [number, Parameters<Signer["sign"]>[1]?]) => sign(new Signer(options), ...more);
    const other = { ...CREDENTIALS, secretAccessKey: "other" };
    sign(kept);
    expect(sign(kept, NOON + 86_400_000)).toEqual(anew(NOON + 86_400_000));
    expect(sign(kept, NOON, other)).toEqual(anew(NOON, other));
    expect(sign(kept)).toEqual(anew(NOON));
  });

  it("sends and signs the session token", () => {
    const signer = new Signer({ service: "service", region: "us-east-1" });
    const headers = sign(signer, NOON, { ...CREDENTIALS, sessionToken: "token" });
    expect(headers["x-amz-security-token"]).toBe("token");
    expect(headers.authorization).toContain("SignedHeaders=host;x-amz-date;x-amz-security-token,");
  });
});
