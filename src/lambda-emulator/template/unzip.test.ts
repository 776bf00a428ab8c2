import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import { writeZip } from "../../../test/support/zip.ts";
import { unzip } from "./unzip.ts";

/** Extracts, and returns the files. */
function extract(zip: Buffer): { [path: string]: string } {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-zip-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "code.zip"), zip);
  const target = join(folder, "out");
  unzip(join(folder, "code.zip"), target);
  const files = readdirSync(target, { recursive: true, encoding: "utf8" }).filter((name) =>
    statSync(join(target, name)).isFile(),
  );
  return Object.fromEntries(
    files.map((name) => [relative("", name), readFileSync(join(target, name), "utf8")]),
  );
}

/** A zip file whose end names another number of entries. */
function withCount(count: number): Buffer {
  const zip = writeZip([{ name: "a.js", content: "1" }]);
  zip.writeUInt16LE(count, zip.length - 12);
  return zip;
}

it("extracts stored and compressed files, folders, and names in UTF-8, with a comment at the end", () => {
  const zip = writeZip([
    { name: "lib/", content: "" },
    { name: "lib/é.js", content: "x".repeat(70_000) },
    { name: "index.js", content: "1", stored: true },
  ]);
  const comment = Buffer.concat([zip, Buffer.from("PK comment")]);
  expect(extract(comment)).toEqual({ "lib/é.js": "x".repeat(70_000), "index.js": "1" });
});

it.each([
  ["a text", Buffer.from("no zip file, but a text of more than 22 bytes"), "it is not a zip file"],
  ["a path out of the folder", writeZip([{ name: "../x.js", content: "1" }]), "it has the path ../x.js"],
  ["an absolute path", writeZip([{ name: "/tmp/x.js", content: "1" }]), "it has the path /tmp/x.js"],
  ["a wrong checksum", writeZip([{ name: "a.js", content: "1", checksum: 7 }]), "a.js is damaged"],
  ["more than it says", writeZip([{ name: "a.js", content: "12", bytes: 1 }]), "a.js is damaged"],
  ["an encrypted file", writeZip([{ name: "a.js", content: "1", flags: 1 }]), "a.js is encrypted"],
  ["another compression", writeZip([{ name: "a.js", content: "1", method: 12 }]), "unknown compression 12"],
  [
    "a symbolic link",
    writeZip([{ name: "a.js", content: "b.js", mode: 0o120777 }]),
    "a.js is a symbolic link",
  ],
  ["a zip64 file", writeZip([{ name: "a.js", content: "1", bytes: 0xffff_ffff }]), "it is a zip64 file"],
  ["a zip64 file with many entries", withCount(0xffff), "it is a zip64 file"],
  ["too much", writeZip([{ name: "a.js", content: "1", bytes: 2 ** 28 }]), "it holds more than 250 MB"],
])("refuses %s", (_, zip, message) => {
  expect(() => extract(zip)).toThrow(message);
});

it("keeps a file executable", () => {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-zip-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const zip = writeZip([
    { name: "bin/tool", content: "#!/bin/sh", mode: 0o100755 },
    { name: "index.js", content: "1", mode: 0o100644 },
  ]);
  writeFileSync(join(folder, "code.zip"), zip);
  unzip(join(folder, "code.zip"), folder);
  const isExecutable = (name: string) => (statSync(join(folder, name)).mode & 0o100) !== 0;
  expect([isExecutable("bin/tool"), isExecutable("index.js")]).toEqual([true, false]);
});

it("extracts a changed file as it was, or refuses it with a reason", () => {
  const zip = writeZip([
    { name: "a.js", content: "exports.handler = 1;" },
    { name: "b/c.txt", content: deflateRawSync("x").toString("hex"), stored: true },
  ]);
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-zip-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "code.zip");
  fc.assert(
    fc.property(fc.nat(zip.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
      const changed = Buffer.from(zip);
      changed[at] = byte;
      writeFileSync(file, changed);
      try {
        unzip(file, join(folder, "out"));
      } catch (error) {
        expect((error as Error).message).toMatch(
          /^it |^.+ (is damaged|is encrypted|is a symbolic link|has the unknown)|^E[A-Z]+: /s,
        );
      }
    }),
  );
});
