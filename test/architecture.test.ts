import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import ts from "typescript";
import { expect, it } from "vitest";
import manifest from "../package.json" with { type: "json" };

/** The leaf of small things that several parts share: no drawer, so each of its files is a door. */
const LEAF = "internal";
/** The arrows: which other parts a part may import. `start` and `cli` join all of them, so they may anything. */
const ARROWS: { readonly [part: string]: readonly string[] } = {
  [LEAF]: [],
  apigw: [],
  protocol: [],
  aws: [LEAF],
  store: [LEAF, "aws"],
  lift: [LEAF, "apigw", "aws", "store"],
  gateway: [LEAF, "apigw", "aws"],
  "lambda-emulator": [LEAF, "apigw", "gateway"],
  client: ["protocol"],
  react: ["client"],
  streamer: [LEAF, "protocol", "store", "lift"],
};
const JOINING_PARTS = ["start", "cli"];
/** They run in browsers too. */
const WITHOUT_NODE = ["apigw", "protocol", "client", "react"];

/** What users get with the package, or bring themselves. */
const PACKAGES = Object.keys({
  ...manifest.dependencies,
  ...(manifest as { peerDependencies?: object }).peerDependencies,
});
/** A part is entered by its index.ts and by what package.json exports, a subpath each. */
const DOORS = Object.values(manifest.exports).map((target) =>
  typeof target === "string" ? target : target["@lift-ws/source"].replace("./src/", ""),
);

/** Files, relative to src, and what each imports, as written. */
type Imports = ReadonlyMap<string, readonly string[]>;

/** Types may refer to each other in a circle, so cycles are looked for in what is left when types are gone. */
function violations(imports: Imports, withoutTypes: Imports = imports): string[] {
  const found: string[] = [];
  for (const [file, specifiers] of imports) {
    for (const specifier of specifiers) {
      const fault = specifier.startsWith(".")
        ? faultOfFile(file, normalize(join(dirname(file), specifier)), imports)
        : faultOfPackage(file, specifier);
      if (fault) found.push(`${file} imports ${specifier}: ${fault}`);
    }
  }
  return [...found, ...cycles(withoutTypes)];
}

function faultOfFile(from: string, to: string, imports: Imports): string | undefined {
  const [part, other] = [partOf(from), partOf(to)];
  if (!imports.has(to)) return "no file of the product";
  if (part === other) return undefined;
  if (!JOINING_PARTS.includes(part) && !ARROWS[part]?.includes(other)) return `${part} may not know ${other}`;
  if (other === LEAF) return undefined;
  if (to !== `${other}/index.ts` && !DOORS.includes(to)) return `${other} is entered by its index.ts`;
  return undefined;
}

function faultOfPackage(from: string, specifier: string): string | undefined {
  if (specifier.startsWith("node:")) {
    return WITHOUT_NODE.includes(partOf(from)) ? `${partOf(from)} runs in browsers` : undefined;
  }
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  return PACKAGES.includes(name) ? undefined : "neither a dependency nor a peer";
}

function partOf(file: string): string {
  return file.split("/")[0]?.replace(/\.ts$/, "") ?? "";
}

function cycles(imports: Imports): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      found.push(`cycle: ${[...path.slice(path.indexOf(file)), file].join(" → ")}`);
    } else if (!done.has(file)) {
      for (const specifier of imports.get(file) ?? []) {
        if (specifier.startsWith(".")) visit(normalize(join(dirname(file), specifier)), [...path, file]);
      }
      done.add(file);
    }
  };
  for (const file of imports.keys()) visit(file, []);
  return found;
}

function readSources(folder: string): ReadonlyMap<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !file.endsWith(".test.ts"),
  );
  return new Map(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
}

function importsOf(source: string): string[] {
  return ts.preProcessFile(source, true, true).importedFiles.map(({ fileName }) => fileName);
}

function withoutTypes(source: string): string {
  const compilerOptions = { target: ts.ScriptTarget.ESNext, verbatimModuleSyntax: true };
  return ts.transpileModule(source, { compilerOptions }).outputText;
}

it("keeps the arrows between the parts", () => {
  const sources = [...readSources(join(import.meta.dirname, "../src"))];
  const imports = new Map(sources.map(([file, source]) => [file, importsOf(source)]));
  const atRunTime = new Map(sources.map(([file, source]) => [file, importsOf(withoutTypes(source))]));
  expect(imports.get("gateway/gateway.ts")).toContain("../apigw/index.ts");
  expect(violations(imports, atRunTime)).toEqual([]);
});

it.each([
  ["a part that may not know another", "lift/app.ts", "../gateway/index.ts", "lift may not know gateway"],
  ["the same the other way round", "gateway/app.ts", "../lift/index.ts", "gateway may not know lift"],
  ["a leaf that imports a part", "store/epoch.ts", "../apigw/index.ts", "store may not know apigw"],
  ["a part that the leaf may not know", "internal/a.ts", "../apigw/index.ts", "internal may not know apigw"],
  ["the leaf in a browser's part", "protocol/parse.ts", "../internal/a.ts", "protocol may not know internal"],
  ["a part that has no arrows yet", "newcomer/index.ts", "../apigw/index.ts", "newcomer may not know apigw"],
  ["a back door", "cli/main.ts", "../gateway/socket.ts", "gateway is entered by its index.ts"],
  ["a test from the product", "lift/app.ts", "./app.test.ts", "no file of the product"],
  ["a development dependency", "lift/app.ts", "zod", "neither a dependency nor a peer"],
  ["one with a scope and a path", "lift/app.ts", "@biomejs/biome/x", "neither a dependency nor a peer"],
  ["a built-in module without its prefix", "lift/app.ts", "fs", "neither a dependency nor a peer"],
  ["Node in a browser", "apigw/limits.ts", "node:buffer", "apigw runs in browsers"],
])("finds %s", (_what, file, specifier, fault) => {
  const fixture = new Map([
    ["apigw/index.ts", []],
    ["lift/index.ts", []],
    ["gateway/index.ts", []],
    ["gateway/socket.ts", []],
    ["internal/a.ts", []],
    [file, [specifier]],
  ]);
  expect(violations(fixture)).toEqual([`${file} imports ${specifier}: ${fault}`]);
});

it("lets through what the arrows allow", () => {
  const fixture = new Map([
    ["apigw/index.ts", []],
    ["gateway/index.ts", ["./socket.ts"]],
    ["gateway/socket.ts", ["ws", "node:net", "../apigw/index.ts"]],
    ["internal/a.ts", ["node:net"]],
    ["lift/testing/index.ts", ["../apigw/index.ts", "../internal/a.ts"]],
    ["start.ts", ["./gateway/index.ts", "./lift/testing/index.ts"]],
  ]);
  expect(violations(fixture)).toEqual([]);
});

it("reads every kind of import, and tells types from the rest", () => {
  const source = `
    import type { A } from "./a.ts";
    import { type B } from "./b.ts";
    export type { C } from "./c.ts";
    export * from "./d.ts";
    import "./e.ts";
    const f: import("./f.ts").F = await import("./g.ts");`;
  expect(importsOf(source)).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts", "./f.ts", "./g.ts"]);
  expect(importsOf(withoutTypes(source))).toEqual(["./b.ts", "./d.ts", "./e.ts", "./g.ts"]);
});

it("finds a cycle between files", () => {
  const fixture = new Map([
    ["lift/a.ts", ["./b.ts"]],
    ["lift/b.ts", ["./c.ts"]],
    ["lift/c.ts", ["./a.ts"]],
  ]);
  expect(violations(fixture)).toEqual(["cycle: lift/a.ts → lift/b.ts → lift/c.ts → lift/a.ts"]);
});
