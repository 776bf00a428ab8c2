import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { privateDirectory, readPrivate, writePrivate } from "../private-files.ts";
import { createSelfSigned, type KeyAndCertificate } from "./self-signed.ts";

const FILE = "localhost.pem";
const DAY_MS = 24 * 60 * 60 * 1000;
/** Apple's TLS refuses certificates that live longer than 398 days. */
const LIFETIME_MS = 397 * DAY_MS;
const RENEWED_BEFORE_END_MS = 30 * DAY_MS;
/** The clock of a virtual machine may be behind its host's. */
const CLOCK_SKEW_MS = DAY_MS;
const LOCAL_NAMES = ["localhost", "127.0.0.1", "::1"];

/**
 * Returns the certificate of this working directory's development server. Creates one when it is missing, expires within
 * 30 days or lacks a name. Key and certificate are in one file, so that they always match.
 * @param host the address to listen on, besides `localhost`, `127.0.0.1` and `::1`
 * @param directory default `.lift-ws` in the working directory
 */
export async function developmentCertificate(
  host: string,
  directory: string = privateDirectory(),
): Promise<KeyAndCertificate> {
  const names = [...new Set([...LOCAL_NAMES, host])];
  const stored = (await readPrivate(join(directory, FILE)))?.toString("latin1");
  const current = stored === undefined ? undefined : readPair(stored);
  if (current !== undefined && isUsable(current, names)) return current;
  const now = Date.now();
  const created = createSelfSigned(names, new Date(now - CLOCK_SKEW_MS), new Date(now + LIFETIME_MS));
  await writePrivate(directory, FILE, created.key + created.cert);
  return created;
}

/** Returns the certificate's path, which other processes need in `NODE_EXTRA_CA_CERTS`. */
export function certificatePath(directory: string = privateDirectory()): string {
  return join(directory, FILE);
}

/** Makes TLS clients in this process accept a certificate too. */
export function trustCertificate(cert: string): void {
  tls.setDefaultCACertificates([...tls.getCACertificates("default"), cert]);
}

function readPair(file: string): KeyAndCertificate | undefined {
  const [key] = file.match(/-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n/) ?? [];
  const [cert] = file.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/) ?? [];
  return key !== undefined && cert !== undefined ? { key, cert } : undefined;
}

function isUsable(pair: KeyAndCertificate, names: readonly string[]): boolean {
  try {
    const certificate = new X509Certificate(pair.cert);
    const has = (name: string) =>
      isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name);
    return (
      certificate.checkPrivateKey(createPrivateKey(pair.key)) &&
      Date.parse(certificate.validTo) - RENEWED_BEFORE_END_MS > Date.now() &&
      names.every(has)
    );
  } catch {
    return false; // The file is damaged, so it is replaced.
  }
}
