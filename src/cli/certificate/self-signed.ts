import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { isIP, isIPv4 } from "node:net";

/** A private key and its certificate, in PEM. */
export interface KeyAndCertificate {
  readonly key: string;
  readonly cert: string;
}

const TAG = {
  bitString: 0x03,
  boolean: 0x01,
  dnsName: 0x82,
  generalizedTime: 0x18,
  integer: 0x02,
  ipAddress: 0x87,
  objectId: 0x06,
  octetString: 0x04,
  sequence: 0x30,
  set: 0x31,
  tbsExtensions: 0xa3,
  tbsVersion: 0xa0,
  utcTime: 0x17,
  utf8String: 0x0c,
};

const OID = {
  basicConstraints: "551d13",
  commonName: "550403",
  ecdsaWithSha256: "2a8648ce3d040302",
  extendedKeyUsage: "551d25",
  keyUsage: "551d0f",
  serverAuthentication: "2b06010505070301",
  subjectAltName: "551d11",
};

const COMMON_NAME = "lift-ws development";
const VERSION_3 = 2;
const FIRST_YEAR_OF_GENERALIZED_TIME = 2050;

/**
 * Creates a self-signed certificate (RFC 5280, P-256) for DNS names and IP addresses. It is not an authority, so trusting
 * it means trusting only these names.
 *
 * Node reads certificates but cannot create them. Libraries that can add about twenty packages to every installation. One
 * certificate of a fixed form needs only the DER encoding below, which never parses input.
 */
export function createSelfSigned(
  names: readonly string[],
  notBefore: Date,
  notAfter: Date,
): KeyAndCertificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(TAG.sequence, oid(OID.ecdsaWithSha256));
  const subject = der(
    TAG.sequence,
    der(TAG.set, der(TAG.sequence, oid(OID.commonName), der(TAG.utf8String, Buffer.from(COMMON_NAME)))),
  );
  const tbs = der(
    TAG.sequence,
    der(TAG.tbsVersion, der(TAG.integer, Buffer.from([VERSION_3]))),
    // A leading byte from 0x40 to 0x7f keeps the serial positive and its encoding minimal.
    der(TAG.integer, Buffer.from([0x40]), randomBytes(15)),
    algorithm,
    subject,
    der(TAG.sequence, time(notBefore), time(notAfter)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    der(TAG.tbsExtensions, der(TAG.sequence, ...extensions(names))),
  );
  const certificate = der(TAG.sequence, tbs, algorithm, bits(sign("sha256", tbs, privateKey)));
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { key, cert: pem(certificate) };
}

function extensions(names: readonly string[]): Buffer[] {
  const digitalSignature = Buffer.from([TAG.bitString, 2, 7, 0b1000_0000]);
  return [
    extension(OID.basicConstraints, true, der(TAG.sequence)),
    extension(OID.keyUsage, true, digitalSignature),
    extension(OID.extendedKeyUsage, false, der(TAG.sequence, oid(OID.serverAuthentication))),
    extension(OID.subjectAltName, false, der(TAG.sequence, ...names.map(generalName))),
  ];
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [der(TAG.boolean, Buffer.from([0xff]))] : [];
  return der(TAG.sequence, oid(id), ...flag, der(TAG.octetString, value));
}

function generalName(name: string): Buffer {
  if (isIP(name) === 0) return der(TAG.dnsName, Buffer.from(name, "latin1"));
  return der(TAG.ipAddress, isIPv4(name) ? Buffer.from(name.split(".").map(Number)) : ipv6Bytes(name));
}

function ipv6Bytes(address: string): Buffer {
  // The URL parser returns the canonical form: lowercase, at most one "::", no dotted quad.
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const left = head.split(":").filter(Boolean);
  const right = (tail ?? "").split(":").filter(Boolean);
  const zeros = Array<string>(8 - left.length - right.length).fill("0");
  return Buffer.from([...left, ...zeros, ...right].map((group) => group.padStart(4, "0")).join(""), "hex");
}

function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\..*/g, "");
  return date.getUTCFullYear() < FIRST_YEAR_OF_GENERALIZED_TIME
    ? der(TAG.utcTime, Buffer.from(`${digits.slice(2)}Z`))
    : der(TAG.generalizedTime, Buffer.from(`${digits}Z`));
}

function oid(hex: string): Buffer {
  return der(TAG.objectId, Buffer.from(hex, "hex"));
}

function bits(content: Buffer): Buffer {
  const unusedBits = Buffer.from([0]);
  return der(TAG.bitString, unusedBits, content);
}

function der(tag: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag, ...derLength(content.length)]), content]);
}

function derLength(length: number): number[] {
  if (length < 0x80) return [length];
  if (length < 0x100) return [0x81, length];
  return [0x82, length >> 8, length & 0xff];
}

function pem(certificate: Buffer): string {
  const lines = certificate.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}
