import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { findFunctionCode } from "./function-code.ts";
import { readTemplate } from "./read-template.ts";
import { resolveTemplate } from "./resolve-template.ts";

/** Writes files into a folder and finds the code of a function with these attributes. */
function findCode(attributes: object, files: { readonly [name: string]: string } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-assets-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    if (content === "/") mkdirSync(join(folder, name));
    else writeFileSync(join(folder, name), content);
  }
  const file = join(folder, "Chat.template.json");
  const template = { Resources: { F: { Type: "AWS::Lambda::Function", ...attributes } } };
  const { resources } = resolveTemplate(readTemplate(`\n${JSON.stringify(template)}`, file), {
    stackName: "s",
  });
  return { folder, find: () => findFunctionCode(resources[0]!, file) };
}

const CODE = { Code: { S3Bucket: "assets", S3Key: "p/1.zip" } };
const MANIFEST = JSON.stringify({
  files: {
    0: { source: { path: "other" }, destinations: { here: { objectKey: "p/0.zip" } } },
    1: { source: { path: "asset.1" }, destinations: { there: { objectKey: "p/1.zip" } } },
  },
});

describe("the code of a function", () => {
  it("is the folder that the metadata names", () => {
    const { folder, find } = findCode(
      { Properties: CODE, Metadata: { "aws:asset:path": "asset.2" } },
      { "asset.2": "/" },
    );
    expect(find()).toEqual({ kind: "folder", path: join(folder, "asset.2") });
  });

  it("is the zip file that assets.json names for its key", () => {
    const { folder, find } = findCode(
      { Properties: CODE },
      { "Chat.assets.json": MANIFEST, "asset.1": "zip" },
    );
    expect(find()).toEqual({ kind: "archive", path: join(folder, "asset.1") });
  });

  it.each([
    ["folder", "/"],
    ["archive", "zip"],
  ])("is the path that the template names: %s", (kind, content) => {
    const { folder, find } = findCode({ Properties: { Code: "./echo" } }, { echo: content });
    expect(find()).toEqual({ kind, path: join(folder, "echo") });
  });

  it("is the text in the template", () => {
    const { find } = findCode({ Properties: { Code: { ZipFile: "exports.handler = 1" } } });
    expect(find()).toEqual({ kind: "inline", text: "exports.handler = 1" });
  });

  it.each([
    [
      "has no asset on this machine",
      { Properties: CODE },
      {},
      "ASSET_MISSING",
      "The code assets/p/1.zip is not on this machine",
    ],
    [
      "has another key than the assets",
      { Properties: { Code: { S3Key: "x" } } },
      { "Chat.assets.json": MANIFEST },
      "ASSET_MISSING",
      "The code x is not on",
    ],
    [
      "names a missing folder",
      { Properties: CODE, Metadata: { "aws:asset:path": "none" } },
      {},
      "ASSET_MISSING",
      "The code <folder>/none does not exist; run `cdk synth`",
    ],
    [
      "names a missing path in place of an asset",
      { Properties: { Code: "./none" } },
      {},
      "ASSET_MISSING",
      "The code <folder>/none does not exist",
    ],
    [
      "is a container image",
      { Properties: { Code: { ImageUri: "a" } } },
      {},
      "TEMPLATE_UNSUPPORTED",
      "Container images are not supported",
    ],
    [
      "has an empty path",
      { Properties: { Code: "" } },
      {},
      "TEMPLATE_INVALID",
      "The path of the code is empty",
    ],
    [
      "has an asset with an empty path",
      { Properties: CODE, Metadata: { "aws:asset:path": "" } },
      {},
      "TEMPLATE_INVALID",
      "The path of the code is empty",
    ],
    ["has no code", {}, {}, "TEMPLATE_INVALID", "The function has no `Code`"],
  ])("is an error if it %s", (_name, attributes, files, code, message) => {
    const { folder, find } = findCode(attributes, files as { [name: string]: string });
    expect(find).toThrow(`${folder}/Chat.template.json:2: F: ${message.replace("<folder>", folder)}`);
    expect(find).toThrow(expect.objectContaining({ code, resource: "F", line: 2 }));
  });

  it("is an error if assets.json cannot be read", () => {
    const { folder, find } = findCode({ Properties: CODE }, { "Chat.assets.json": "{" });
    expect(find).toThrow(`${folder}/Chat.assets.json: The assets cannot be read`);
  });
});
