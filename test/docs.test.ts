// Compares lists in the docs with the code in both directions, and compiles the examples.
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import manifest from "../package.json" with { type: "json" };
import { MESSAGE_TABLE_STREAM_SOURCE } from "../src/store/dynamodb/tables.ts";
import { codeBlocks, inBackticks, sections, tableRows } from "./support/markdown.ts";
import { findUndocumented } from "./support/public-surface.ts";

const ROOT = join(import.meta.dirname, "..");
const DOCS = globSync(["*.md", "docs/**/*.md", "examples/*/README.md"], { cwd: ROOT }).filter(
  // Written by changesets. Its entries about old versions do not change.
  (name) => name !== "CHANGELOG.md",
);
const SUBPATHS = Object.keys(manifest.exports).filter((subpath) => subpath !== "./package.json");
const compilerOptions = readCompilerOptions();

describe("examples in the docs", () => {
  const examples = new Map(
    // READMEs of examples show excerpts of code that is compiled anyway.
    DOCS.filter((doc) => !doc.startsWith("examples/")).flatMap((doc) =>
      codeBlocks(read(doc))
        .filter((block) => /^tsx?\b/.test(block.info))
        .map((block) => [`${doc}:${block.line}`, block] as const),
    ),
  );
  // The files are below package.json, so that `lift-ws` is this package's source. An example may import another of its page.
  const files = new Map(
    [...examples].map(([name, { info, code }], at) => {
      const [extension, , file = `example-${at}.${extension}`] = info.split(" ");
      const folder = name.replace(/:.*/, "").replaceAll(/\W/g, "-");
      return [
        join(ROOT, "shown", folder, file.includes(".") ? file : `example-${at}.${extension}`),
        // Code of a page runs in a browser.
        { name, code: extension === "tsx" ? `/// <reference lib="dom" />\n${code}` : code },
      ];
    }),
  );

  it("type-check against the source", () => {
    expect(examples.size).toBeGreaterThan(0);
    expect(typeErrors(files)).toEqual([]);
  });

  it("fails on a wrong example", () => {
    const wrong = 'import { Lift } from "lift-ws";\nnew Lift().noSuchMethod();\n';
    const file = join(ROOT, "example-wrong.ts");
    expect(typeErrors(new Map([[file, { name: "wrong", code: wrong }]]))).toEqual([
      expect.stringContaining("wrong: Property 'noSuchMethod' does not exist"),
    ]);
  });
});

describe("PROTOCOL.md's interfaces", () => {
  const shown = codeBlocks(read("PROTOCOL.md"))
    .filter(({ info }) => info === "typescript")
    .map(({ code }) => code)
    .join("\n");
  const names = [...shown.matchAll(/^interface (\w+)/gm)].map(([, name]) => name);
  /** Results without a type of their own are found by their action. */
  const sourceName = (name = "") =>
    ({ StreamResult: 'Results["stream"]', UploadResult: 'Results["upload"]' })[name] ?? name;
  const check = (written: string) => {
    const checks = names
      // An object on the wire, which the parser turns into a Map.
      .filter((name) => name !== "HeartbeatPayload")
      .map((name) => `export const as${name}: Same<Source.${sourceName(name)}, ${name}> = true;`);
    const code = `
      import type * as Source from "./src/protocol/index.ts";
      import type { Json } from "./src/protocol/index.ts";
      type Same<A, B> = B extends A ? (keyof A extends keyof B ? (keyof B extends keyof A ? true : never) : never) : never;
      ${written}
      ${checks.join("\n")}`;
    return typeErrors(new Map([[join(ROOT, "protocol-interfaces.ts"), { name: "PROTOCOL.md", code }]]));
  };

  it("match src/protocol", () => {
    expect(names).toEqual(expect.arrayContaining(["SubscribePayload", "ChannelMessage", "ErrorBody"]));
    expect(check(shown)).toEqual([]);
  });

  it("fails on a difference", () => {
    expect(check(shown.replace("key?: string", "key?: number"))).not.toEqual([]);
    expect(check(shown.replace("recent?: number;", ""))).not.toEqual([]);
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
    new Map(sourceEntries().map(([subpath, file]) => [subpath.replace(".", manifest.name), file])),
    compilerOptions,
  );

  it("has a docstring on every export and on every member of an export", () => {
    expect(undocumented.withoutDocstring).toEqual([]);
  });

  it("has an example on every function", () => {
    expect(undocumented.withoutExample).toEqual([]);
  });

  it("fails on an export without a docstring", () => {
    const file = join(import.meta.dirname, "support/undocumented.ts");
    expect(findUndocumented(new Map([["undocumented", file]]), compilerOptions)).toEqual({
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

describe("tables of options in the docs", () => {
  it.each([
    ["docs/guide/channels.md", "Namespaces", "src/streamer/index.ts", "NamespaceOptions"],
    ["docs/guide/react.md", "`useChannel(channel, options)`", "src/react/index.ts", "ChannelOptions"],
  ])("%s, %s: lists exactly the options of %s's %s", (doc, section, door, type) => {
    const text = sections(read(doc)).get(section) ?? "";
    const table = /^\| option \|.*\n(?:\|.*\n)+/m.exec(text)?.[0] ?? "";
    const listed = tableRows(table).map(([name]) => inBackticks(name ?? "")[0]);
    expect(listed.toSorted()).toEqual(propertiesOf(join(ROOT, door), type).toSorted());
  });
});

/** Returns the source file of each subpath. */
function sourceEntries(): [subpath: string, file: string][] {
  return Object.entries(manifest.exports).flatMap(([subpath, target]) =>
    typeof target === "string" ? [] : [[subpath, join(ROOT, target["@lift-ws/source"])] as [string, string]],
  );
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

function readCompilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(ROOT, "tsconfig.json"), ts.sys.readFile);
  // Examples may have unused values, and may use React.
  const loosened = { ...config.compilerOptions, noUnusedLocals: false, noUnusedParameters: false };
  const options = { ...loosened, jsx: "react-jsx" };
  return ts.parseJsonConfigFileContent({ compilerOptions: options, files: [] }, ts.sys, ROOT).options;
}

/** Compiles files in memory and returns the errors. */
function typeErrors(files: ReadonlyMap<string, { name: string; code: string }>): string[] {
  const host = ts.createCompilerHost(compilerOptions);
  const { fileExists, readFile, getSourceFile } = host;
  const folders = new Set([...files.keys()].flatMap((file) => [dirname(file), dirname(dirname(file))]));
  host.directoryExists = (folder) => folders.has(folder) || existsSync(folder);
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file)?.code ?? readFile(file);
  host.getSourceFile = (file, language, ...rest) => {
    const code = files.get(file)?.code;
    return code === undefined
      ? getSourceFile(file, language, ...rest)
      : ts.createSourceFile(file, code, language);
  };
  const program = ts.createProgram([...files.keys()], compilerOptions, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    const name = files.get(file?.fileName ?? "")?.name ?? basename(file?.fileName ?? "options");
    return `${name}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
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
  const program = ts.createProgram([door], compilerOptions);
  const checker = program.getTypeChecker();
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(door)!)!);
  const symbol = exported.find(({ name }) => name === type)!;
  return checker
    .getDeclaredTypeOfSymbol(checker.getAliasedSymbol(symbol))
    .getProperties()
    .map(({ name }) => name);
}

/** Returns the codes of each error class, from the `…ErrorCode` types that subpaths export. */
function exportedErrorCodes(): Map<string, string[]> {
  const entries = sourceEntries().map(([, file]) => file);
  const program = ts.createProgram(entries, compilerOptions);
  const checker = program.getTypeChecker();
  const found = new Map<string, string[]>();
  for (const entry of entries) {
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
