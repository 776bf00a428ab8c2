import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize, relative } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import manifest from "../package.json" with { type: "json" };

/** Shared small things. It has no `index.ts`: each of its files may be imported. */
const LEAF = "internal";

/** The parts that each part may import. */
const PARTS: Arrows = {
  [LEAF]: [],
  apigw: [],
  protocol: [],
  aws: [LEAF],
  store: [LEAF, "aws"],
  lift: [LEAF, "apigw", "aws", "store"],
  gateway: [LEAF, "apigw", "aws"],
  "lambda-emulator": [LEAF, "apigw", "aws", "gateway"],
  cdk: ["store"],
  client: ["protocol"],
  react: ["client"],
  streamer: [LEAF, "protocol", "store", "lift"],
  rollout: [LEAF, "apigw", "aws", "store", "lift"],
};
/** These join the parts, so they may import any of them. */
const JOINING_PARTS = ["start", "cli"];

/**
 * The sibling rooms that each folder inside a part may import. Files outside of the rooms may import them and be
 * imported by them, as far as no cycle comes of it.
 */
const ROOMS: { readonly [parent: string]: Arrows } = {
  store: {
    contracts: [],
    memory: ["contracts"],
    // Members and chunks of messages live as long as the process, so they are in memory.
    sqlite: ["contracts", "memory"],
    files: ["contracts"],
    s3: ["contracts"],
    dynamodb: ["contracts"],
  },
  "store/dynamodb": {
    tables: [],
    client: [],
    connections: ["client"],
    channels: ["client", "requests"],
    requests: ["client"],
  },
  lift: {
    connect: ["connections"],
    connections: ["scheduler"],
    scheduler: ["connections"],
    middleware: ["connections", "scheduler"],
    testing: [],
  },
  "lift/middleware": { auth: [], logger: [], metrics: [], "rate-limit": [], tickets: ["auth"], tracing: [] },
  gateway: {
    sockets: [],
    messages: ["sockets"],
    upgrade: ["sockets", "messages"],
    "connections-api": ["sockets"],
  },
  streamer: {
    "fan-out": ["live-streams", "membership"],
    "live-streams": ["fan-out", "membership"],
    membership: ["fan-out", "live-streams"],
    actions: ["fan-out", "live-streams", "membership"],
    requests: ["fan-out", "membership"],
  },
  "streamer/requests": { output: [] },
  client: {
    connection: ["requests"],
    requests: ["connection"],
    channels: ["connection", "requests"],
    outbox: ["channels", "connection", "requests"],
    jobs: ["channels", "connection", "requests"],
  },
  rollout: {
    flags: [],
    stages: [],
    metrics: ["flags", "stages"],
    driver: ["flags", "metrics", "stages"],
    stores: [],
    tables: [],
  },
  "lambda-emulator": { functions: [], policy: ["template"], "table-stream": [], template: [] },
  cli: {
    rollout: ["project"],
    asyncapi: [],
    certificate: [],
    cost: [],
    export: [],
    verify: ["cost"],
    project: [],
    lambda: ["certificate", "project"],
    local: ["certificate", "lambda", "project"],
    dev: ["certificate", "lambda", "local", "project"],
  },
};
/** Files beside tests that a folder may have. Most have fewer than 15. */
const MAX_FILES = 20;

/** These parts run in browsers too. */
const WITHOUT_NODE = ["apigw", "protocol", "client", "react"];

/** Packages that users install with this one, or beside it. */
const PACKAGES = Object.keys({
  ...manifest.dependencies,
  ...(manifest as { peerDependencies?: object }).peerDependencies,
});
/** The files that package.json exports. Other parts may import these and a part's `index.ts` only. */
const DOORS = [
  ...Object.values(manifest.exports).map((target) =>
    typeof target === "string" ? target : target["@lift-ws/source"].replace("./src/", ""),
  ),
  // The definitions of the tables, without the AWS SDK.
  "store/dynamodb/tables.ts",
];

/** For each name, the names that it may import. */
type Arrows = { readonly [name: string]: readonly string[] };

/** Files, relative to src, and the specifiers that each imports, of types too. */
type Imports = ReadonlyMap<string, readonly string[]>;

function violations(imports: Imports): string[] {
  const found: string[] = [];
  for (const [file, specifiers] of imports) {
    for (const specifier of specifiers) {
      const fault = specifier.startsWith(".")
        ? faultOfFile(file, normalize(join(dirname(file), specifier)), imports)
        : faultOfPackage(file, specifier);
      if (fault) found.push(`${file} imports ${specifier}: ${fault}`);
    }
  }
  return [...found, ...cycles(imports)];
}

function faultOfFile(from: string, to: string, imports: Imports): string | undefined {
  const [part, other] = [partOf(from), partOf(to)];
  if (!imports.has(to)) return "no file of the product";
  if (part === other) return faultOfRooms(from, to);
  if (!JOINING_PARTS.includes(part) && !PARTS[part]?.includes(other))
    return `${part} may not import ${other}`;
  if (other === LEAF) return undefined;
  if (to !== `${other}/index.ts` && !DOORS.includes(to)) return `${other} is entered by its index.ts`;
  return undefined;
}

/** Compares the folders of two files where their paths part. */
function faultOfRooms(from: string, to: string): string | undefined {
  const [path, target] = [dirname(from).split("/"), dirname(to).split("/")];
  const at = path.findIndex((folder, depth) => folder !== target[depth]);
  const [room, other] = [path[at], target[at]];
  if (room === undefined || other === undefined) return undefined;
  const parent = path.slice(0, at).join("/");
  return ROOMS[parent]?.[room]?.includes(other) ? undefined : `${parent}/${room} may not import ${other}`;
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

/** Folders under src, each with its files and folders. Tests and their fixtures do not count. */
function readFolders(folder: string): ReadonlyMap<string, readonly string[]> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true });
  const parents = names
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    parents.map((parent) => [
      relative(folder, parent),
      names
        .filter((entry) => entry.parentPath === parent && !/\.(?:test|cases)\.ts$/.test(entry.name))
        .map(({ name }) => name),
    ]),
  );
}

const SRC = join(import.meta.dirname, "../src");

describe("src", () => {
  const imports = new Map([...readSources(SRC)].map(([file, source]) => [file, importsOf(source)]));
  const folders = readFolders(SRC);
  const foldersIn = (parent: string) =>
    (folders.get(parent) ?? readdirSync(SRC)).filter((name) => folders.has(join(parent, name)));

  it("has no import against the arrows and no cycle, types included", () => {
    expect(imports.get("gateway/gateway.ts")).toContain("../apigw/index.ts");
    expect(violations(imports)).toEqual([]);
  });

  it("has the parts and rooms that the arrows name, and no others", () => {
    expect(foldersIn("").sort()).toEqual([...Object.keys(PARTS), "cli"].sort());
    const rooms = [...folders.keys()].filter(
      (folder) => folder.includes("/") && foldersIn(dirname(folder)).length > 0,
    );
    const named = Object.entries(ROOMS).flatMap(([parent, names]) =>
      Object.keys(names).map((room) => `${parent}/${room}`),
    );
    expect(rooms.sort()).toEqual(named.sort());
  });

  it("has an index.ts for parts and public subpaths only", () => {
    const indexes = [...imports.keys()].filter((file) => basename(file) === "index.ts");
    expect(indexes.filter((file) => file.split("/").length > 2 && !DOORS.includes(file))).toEqual([]);
  });

  it(`has at most ${MAX_FILES} files in a folder beside tests`, () => {
    const crowded = [...folders].map(([folder, names]) => ({
      folder,
      files: names.filter((name) => /\.[jt]s$/.test(name)).length,
    }));
    expect(crowded.filter(({ files }) => files > MAX_FILES)).toEqual([]);
  });
});

it.each([
  [
    "an import between parts against the arrows",
    "lift/app.ts",
    "../gateway/index.ts",
    "lift may not import gateway",
  ],
  [
    "the same import the other way round",
    "gateway/app.ts",
    "../lift/index.ts",
    "gateway may not import lift",
  ],
  ["a leaf that imports a part", "store/epoch.ts", "../apigw/index.ts", "store may not import apigw"],
  [
    "a part that is imported by the leaf",
    "internal/a.ts",
    "../apigw/index.ts",
    "internal may not import apigw",
  ],
  [
    "the leaf in a part that runs in browsers",
    "protocol/read.ts",
    "../internal/a.ts",
    "protocol may not import internal",
  ],
  ["a part without arrows", "newcomer/index.ts", "../apigw/index.ts", "newcomer may not import apigw"],
  [
    "an import of another part's inner file",
    "cli/main.ts",
    "../gateway/socket.ts",
    "gateway is entered by its index.ts",
  ],
  ["an import of a test", "lift/app.ts", "./app.test.ts", "no file of the product"],
  ["a development dependency", "lift/app.ts", "zod", "neither a dependency nor a peer"],
  [
    "a development dependency with a scope and a path",
    "lift/app.ts",
    "@biomejs/biome/x",
    "neither a dependency nor a peer",
  ],
  ["a built-in module without its prefix", "lift/app.ts", "fs", "neither a dependency nor a peer"],
  ["Node in a browser", "apigw/limits.ts", "node:buffer", "apigw runs in browsers"],
  [
    "an import between rooms against the arrows",
    "streamer/fan-out/a.ts",
    "../actions/a.ts",
    "streamer/fan-out may not import actions",
  ],
  [
    "a room without arrows",
    "streamer/newcomer/a.ts",
    "../actions/a.ts",
    "streamer/newcomer may not import actions",
  ],
  [
    "a room that enters another one by a deeper folder",
    "lift/middleware/auth/a.ts",
    "../tracing/a.ts",
    "lift/middleware/auth may not import tracing",
  ],
])("finds %s", (_name, file, specifier, fault) => {
  const fixture = new Map([
    ["apigw/index.ts", []],
    ["lift/index.ts", []],
    ["gateway/index.ts", []],
    ["gateway/socket.ts", []],
    ["internal/a.ts", []],
    ["streamer/actions/a.ts", []],
    ["lift/middleware/tracing/a.ts", []],
    [file, [specifier]],
  ]);
  expect(violations(fixture)).toEqual([`${file} imports ${specifier}: ${fault}`]);
});

it("accepts imports that the arrows allow", () => {
  const fixture = new Map([
    ["apigw/index.ts", []],
    ["gateway/index.ts", ["./socket.ts"]],
    ["gateway/socket.ts", ["ws", "node:net", "../apigw/index.ts"]],
    ["internal/a.ts", ["node:net"]],
    ["lift/testing/index.ts", ["../../apigw/index.ts", "../../internal/a.ts"]],
    ["start.ts", ["./gateway/index.ts", "./lift/testing/index.ts"]],
    ["streamer/messages.ts", []],
    ["streamer/fan-out/a.ts", ["../messages.ts"]],
    ["streamer/actions/a.ts", ["../fan-out/a.ts", "../messages.ts"]],
    ["streamer/streamer.ts", ["./actions/a.ts"]],
  ]);
  expect(violations(fixture)).toEqual([]);
});

it("reads every kind of import, of types too", () => {
  const source = `
    import type { A } from "./a.ts";
    import { type B } from "./b.ts";
    export type { C } from "./c.ts";
    export * from "./d.ts";
    import "./e.ts";
    const f: import("./f.ts").F = await import("./g.ts");`;
  expect(importsOf(source)).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts", "./f.ts", "./g.ts"]);
});

it("finds a cycle between files", () => {
  const fixture = new Map([
    ["lift/a.ts", ["./b.ts"]],
    ["lift/b.ts", ["./c.ts"]],
    ["lift/c.ts", ["./a.ts"]],
  ]);
  expect(violations(fixture)).toEqual(["cycle: lift/a.ts → lift/b.ts → lift/c.ts → lift/a.ts"]);
});
