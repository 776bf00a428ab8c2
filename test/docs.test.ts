// Compares lists in the docs with the code in both directions, and compiles the examples.
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { scaleRows } from "../bench/scale.ts";
import manifest from "../package.json" with { type: "json" };
import { UNITS } from "../src/cli/cost/units.ts";
import { MESSAGE_TABLE_STREAM_SOURCE } from "../src/store/dynamodb/tables.ts";
import { Compilation, type MemoryFile } from "./support/compilation.ts";
import { codeBlocks, inBackticks, sections, tableRows } from "./support/markdown.ts";
import { findUndocumented } from "./support/public-surface.ts";

const ROOT = join(import.meta.dirname, "..");
const DOCS = globSync(["*.md", "docs/**/*.md", "examples/*/README.md"], { cwd: ROOT }).filter(
  // Written by changesets. Its entries about old versions do not change.
  (name) => name !== "CHANGELOG.md",
);
const SUBPATHS = Object.keys(manifest.exports).filter((subpath) => subpath !== "./package.json");
/** The source file of each subpath. */
const SOURCE_ENTRIES = new Map(
  Object.entries(manifest.exports).flatMap(([subpath, target]) =>
    typeof target === "string" ? [] : [[subpath, join(ROOT, target["@lift-ws/source"])] as const],
  ),
);
const UNDOCUMENTED = join(import.meta.dirname, "support/undocumented.ts");
/** Sources whose types are looked up, besides the subpaths'. */
const DOORS = ["src/streamer/index.ts", "src/react/index.ts", "src/cdk/index.ts"].map((door) =>
  join(ROOT, door),
);

const examples = docExamples();
const WRONG_EXAMPLE = join(ROOT, "example-wrong.ts");
const protocol = protocolChecks();
// One program for all tests: parsing and checking the sources takes seconds.
const { program, errorsIn } = new Compilation({
  root: ROOT,
  sources: [...SOURCE_ENTRIES.values(), UNDOCUMENTED, ...DOORS],
  memory: new Map([
    ...examples,
    [WRONG_EXAMPLE, { name: "wrong", code: 'import { Lift } from "lift-ws";\nnew Lift().noSuchMethod();\n' }],
    ...protocol.files,
  ]),
  // Examples may have unused values, and may use React.
  options: { noUnusedLocals: false, noUnusedParameters: false, jsx: ts.JsxEmit.ReactJSX },
});
const checker = program.getTypeChecker();

describe("examples in the docs", () => {
  it("type-check against the source", () => {
    expect(examples.size).toBeGreaterThan(0);
    expect(errorsIn(examples.keys())).toEqual([]);
  });

  it("fails on a wrong example", () => {
    expect(errorsIn([WRONG_EXAMPLE])).toEqual([
      expect.stringContaining("wrong: Property 'noSuchMethod' does not exist"),
    ]);
  });
});

describe("PROTOCOL.md's interfaces", () => {
  it("match src/protocol", () => {
    expect(protocol.names).toEqual(
      expect.arrayContaining(["SubscribePayload", "ChannelMessage", "ErrorBody"]),
    );
    expect(errorsIn([protocol.shown])).toEqual([]);
  });

  it("fails on a difference", () => {
    for (const changed of protocol.changed) expect(errorsIn([changed])).not.toEqual([]);
  });
});

describe("docs/reference/errors.md", () => {
  const documented = new Map(
    [...sections(read("docs/reference/errors.md"))].map(([heading, text]) => [
      inBackticks(heading)[0],
      tableRows(text).map(([code]) => inBackticks(code ?? "")[0]),
    ]),
  );
  const exported = exportedErrorCodes();

  it("has a section for each error class and no other", () => {
    expect([...documented.keys()].sort()).toEqual([...exported.keys()].sort());
  });

  it.each([...exported])("lists exactly the codes of %s", (name, codes) => {
    expect(documented.get(name)?.toSorted()).toEqual([...codes].sort());
  });
});

describe("package.json's subpaths", () => {
  const names = SUBPATHS.map((subpath) => subpath.replace(".", manifest.name));

  it("match the list in docs/reference/imports.md", () => {
    const listed = tableRows(read("docs/reference/imports.md")).map(([name]) => inBackticks(name ?? "")[0]);
    expect(listed.toSorted()).toEqual([...names].sort());
  });

  it("include every one that the docs mention", () => {
    const mentioned = DOCS.flatMap((doc) => [...read(doc).matchAll(/["'`](lift-ws(?:\/[\w/-]+)?)["'`]/g)]);
    expect(names).toEqual(expect.arrayContaining(mentioned.map((match) => match[1])));
  });
});

describe("the public surface", () => {
  const undocumented = findUndocumented(
    program,
    new Map([...SOURCE_ENTRIES].map(([subpath, file]) => [subpath.replace(".", manifest.name), file])),
  );

  it("has a docstring on every export and on every member of an export", () => {
    expect(undocumented.withoutDocstring).toEqual([]);
  });

  it("has an example on every function", () => {
    expect(undocumented.withoutExample).toEqual([]);
  });

  it("fails on an export without a docstring", () => {
    expect(findUndocumented(program, new Map([["undocumented", UNDOCUMENTED]]))).toEqual({
      withoutDocstring: ["undocumented Options", "undocumented Options.size", "undocumented create"],
      withoutExample: ["undocumented create"],
    });
  });
});

describe("npm scripts", () => {
  it("include every one that the docs mention", () => {
    const mentioned = DOCS.flatMap((doc) => [
      ...[...read(doc).matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1]),
    ]);
    expect(Object.keys(manifest.scripts)).toEqual(expect.arrayContaining(mentioned));
  });
});

describe("docs/internals/journey.md", () => {
  const paths = new Set(read("docs/internals/journey.md").match(/(?<=`)(?:src|test)\/[\w./-]+(?=`)/g));

  it.each([...paths])("names %s, which exists", (path) => {
    expect(existsSync(join(ROOT, path))).toBe(true);
  });

  it("names files of every part on the way", () => {
    const parts = new Set([...paths].map((path) => path.split("/")[1]));
    expect([...parts]).toEqual(
      expect.arrayContaining(["client", "gateway", "lift", "streamer", "store", "aws"]),
    );
  });
});

describe("docs/operations/fan-out-recovery.md", () => {
  const written = (text: string) =>
    JSON.parse(codeBlocks(text).find(({ info }) => info === "json")?.code ?? "");

  it("has the settings of the event source", () => {
    const { startingPosition, batchSize, batchWindowSeconds, ...source } = MESSAGE_TABLE_STREAM_SOURCE;
    expect(written(read("docs/operations/fan-out-recovery.md"))).toEqual({
      EventSourceArn: expect.any(String),
      FunctionName: "fanout",
      StartingPosition: startingPosition,
      BatchSize: batchSize,
      MaximumBatchingWindowInSeconds: batchWindowSeconds,
      MaximumRecordAgeInSeconds: source.maxRecordAgeSeconds,
      BisectBatchOnFunctionError: source.bisectOnError,
      FunctionResponseTypes: source.reportBatchItemFailures ? ["ReportBatchItemFailures"] : [],
      FilterCriteria: { Filters: [{ Pattern: JSON.stringify(source.filter) }] },
    });
  });
});

describe("docs/operations/dynamodb-costs.md", () => {
  it.each(Object.entries(UNITS))("lists exactly the measured units of %s", (name, units) => {
    const text = sections(read("docs/operations/dynamodb-costs.md")).get(`Cost of ${name}`) ?? "";
    const measured = Object.values(units).map(({ row, reads, writes }) => [row, `${reads}`, `${writes}`]);
    expect(tableRows(text)).toEqual(measured);
  });
});

describe("docs/operations/scale.md", () => {
  it("has the result of the benchmark `scale`", () => {
    const written = tableRows(sections(read("docs/operations/scale.md")).get("Three sizes") ?? "");
    expect(written).toEqual(scaleRows().map((row) => Object.values(row)));
  });
});

describe("links in the docs", () => {
  const ours = DOCS.flatMap((doc) =>
    [...read(doc).matchAll(/\]\((?!https?:)([^)\s]+)[^)]*\)/g)].map((match) => [doc, match[1]!] as const),
  );

  it.each(ours)("in %s: %s exists", (doc, link) => {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? doc : join(doc, "..", path);
    expect(existsSync(join(ROOT, target))).toBe(true);
    if (anchor !== undefined) expect(anchorsIn(read(target))).toContain(anchor);
  });

  it("lead from docs/README.md to every page", () => {
    const pages = globSync("docs/*/**/*.md", { cwd: ROOT });
    const linked = ours
      .filter(([doc]) => doc === join("docs", "README.md"))
      .map(([, link]) => join("docs", link));
    expect(linked).toEqual(expect.arrayContaining(pages));
  });
});

describe("docs/guide/requests.md", () => {
  const [server = "", ...clients] = codeBlocks(read("docs/guide/requests.md"))
    .filter(({ info }) => info.startsWith("ts run"))
    .map(({ code }) => code);
  const handlers = server.match(/^streamer\.request\(.*?^}\);\n/gms) ?? [];

  it.each([
    ["a long request", 0, 15],
    ["resumable output", 1, 20],
  ])("shows %s in few lines, server and client together", (_what, at, most) => {
    expect(handlers).toHaveLength(clients.length);
    const shown = handlers.reduce(
      (code, handler, other) => (other === at ? code : code.replace(handler, "")),
      server,
    );
    const lines = `${shown}${clients[at]}`.split("\n").filter((line) => line.trim() !== "");
    expect(lines.length).toBeLessThanOrEqual(most);
  });
});

describe("tables of options in the docs", () => {
  it.each([
    ["docs/guide/channels.md", "Namespaces", "src/streamer/index.ts", "NamespaceOptions"],
    ["docs/guide/react.md", "`useChannel(channel, options)`", "src/react/index.ts", "ChannelOptions"],
    [
      "docs/guide/react.md",
      "`useRequest(action, options)` and `useRequests(limit)`",
      "src/react/index.ts",
      "UseRequestOptions",
    ],
    ["docs/guide/requests.md", "Request options", "src/streamer/index.ts", "RequestOptions"],
    ["docs/guide/requests.md", "Retry options", "src/streamer/index.ts", "RequestRetry"],
    ["docs/guide/requests.md", "Server options", "src/streamer/index.ts", "RequestsOptions"],
    ["docs/guide/requests.md", "Limits", "src/streamer/index.ts", "RequestLimits"],
    ["docs/reference/cdk.md", "Streamer", "src/cdk/index.ts", "StreamerProps"],
    ["docs/reference/cdk.md", "The API", "src/cdk/index.ts", "ApiSettings"],
    ["docs/reference/cdk.md", "Functions", "src/cdk/index.ts", "FunctionSettings"],
    ["docs/reference/cdk.md", "Alarms", "src/cdk/index.ts", "MonitoringProps"],
  ])("%s, %s: lists exactly the options of %s's %s", (doc, section, door, type) => {
    const text = sections(read(doc)).get(section) ?? "";
    const table = /^\| option \|.*\n(?:\|.*\n)+/m.exec(text)?.[0] ?? "";
    const listed = tableRows(table).map(([name]) => inBackticks(name ?? "")[0]);
    expect(listed.toSorted()).toEqual(propertiesOf(join(ROOT, door), type).toSorted());
  });

  it("docs/reference/cdk.md, The API: lists what only LiftWebSocketApiProps has", () => {
    const [, text = ""] = read("docs/reference/cdk.md").split("`LiftWebSocketApi` also takes");
    const listed = tableRows(text.split("\n## ")[0] ?? "").map(([name]) => inBackticks(name ?? "")[0]);
    const [own = [], ...shared] = ["LiftWebSocketApiProps", "ApiSettings", "FunctionSettings"].map((type) =>
      propertiesOf(join(ROOT, "src/cdk/index.ts"), type),
    );
    expect(listed.toSorted()).toEqual(own.filter((name) => !shared.flat().includes(name)).toSorted());
  });
});

/** The examples of the docs, as files in memory. */
function docExamples(): Map<string, MemoryFile> {
  // READMEs of examples show excerpts of code that is compiled anyway.
  const blocks = DOCS.filter((doc) => !doc.startsWith("examples/")).flatMap((doc) =>
    codeBlocks(read(doc))
      .filter((block) => /^tsx?\b/.test(block.info))
      .map((block) => [doc, block] as const),
  );
  // The files are below package.json, so that `lift-ws` is this package's source. An example may import another of its page.
  return new Map(
    blocks.map(([doc, { info, code, line }], at) => {
      const [extension, , file = `example-${at}.${extension}`] = info.split(" ");
      return [
        join(
          ROOT,
          "shown",
          doc.replaceAll(/\W/g, "-"),
          file.includes(".") ? file : `example-${at}.${extension}`,
        ),
        {
          name: `${doc}:${line}`,
          // Code of a page runs in a browser.
          code: extension === "tsx" ? `/// <reference lib="dom" />\n${code}` : code,
        },
      ];
    }),
  );
}

/** Comparisons of PROTOCOL.md's interfaces with src/protocol, as files in memory. */
function protocolChecks() {
  const interfaces = codeBlocks(read("PROTOCOL.md"))
    .filter(({ info }) => info === "typescript")
    .map(({ code }) => code)
    .join("\n");
  const names = [...interfaces.matchAll(/^interface (\w+)/gm)].map(([, name]) => name);
  /** Results without a type of their own are found by their action. */
  const sourceName = (name = "") =>
    ({ StreamResult: 'Results["stream"]', UploadResult: 'Results["upload"]' })[name] ?? name;
  const checks = names
    // An object on the wire, which the parser turns into a Map.
    .filter((name) => name !== "HeartbeatPayload")
    .map((name) => `export const as${name}: Same<Source.${sourceName(name)}, ${name}> = true;`);
  const check = (written: string) => ({
    name: "PROTOCOL.md",
    code: `
      import type * as Source from "./src/protocol/index.ts";
      import type { Json } from "./src/protocol/index.ts";
      type Same<A, B> = B extends A ? (keyof A extends keyof B ? (keyof B extends keyof A ? true : never) : never) : never;
      ${written}
      ${checks.join("\n")}`,
  });
  const changes: readonly (readonly [string, string])[] = [
    ["key?: string", "key?: number"],
    ["recent?: number;", ""],
  ];
  const shown = join(ROOT, "protocol-interfaces.ts");
  const changed = changes.map((_, at) => join(ROOT, `protocol-interfaces-changed-${at}.ts`));
  const files = new Map([
    [shown, check(interfaces)],
    ...changes.map(([from, to], at) => [changed[at]!, check(interfaces.replace(from, to))] as const),
  ]);
  return { names, files, shown, changed };
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** Returns the anchors that GitHub generates for headings. */
function anchorsIn(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, "")
      .replaceAll(" ", "-"),
  );
}

function propertiesOf(door: string, type: string): string[] {
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(door)!)!);
  const symbol = exported.find(({ name }) => name === type)!;
  return checker
    .getDeclaredTypeOfSymbol(checker.getAliasedSymbol(symbol))
    .getProperties()
    .map(({ name }) => name);
}

/** Returns the codes of each error class, from the `…ErrorCode` types that subpaths export. */
function exportedErrorCodes(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const entry of SOURCE_ENTRIES.values()) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(entry)!);
    for (const symbol of module ? checker.getExportsOfModule(module) : []) {
      if (!symbol.name.endsWith("ErrorCode")) continue;
      const type = checker.getDeclaredTypeOfSymbol(
        symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol,
      );
      const members = type.isUnion() ? type.types : [type];
      found.set(
        symbol.name.replace(/Code$/, ""),
        members.flatMap((member) => (member.isStringLiteral() ? [member.value] : [])),
      );
    }
  }
  return found;
}
