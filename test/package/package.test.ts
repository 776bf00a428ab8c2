// Builds, packs and installs the package in an empty folder, as users get it.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build as bundle } from "esbuild";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { compile } from "../../tools/build.mjs";
import { codeBlocks } from "../support/markdown.ts";

const ROOT = join(import.meta.dirname, "../..");
const BIN = join(ROOT, "node_modules/.bin");
const NODES = {
  "Node 24": process.execPath,
  "Node 22": join(ROOT, "tools/node22/node_modules/node/bin/node"),
};
const SUBPATHS = Object.keys(manifest.exports).map((subpath) => subpath.replace(".", manifest.name));
const MODULES = SUBPATHS.filter((subpath) => !subpath.endsWith(".json"));
const FOR_BROWSERS = ["lift-ws/apigw", "lift-ws/client"];
/** A compilation and an installation take minutes on a busy machine. */
const SET_UP_MS = 600_000;
/** Gzipped size of all exports. */
const MAX_CLIENT_BYTES = 12_800;
/** Gzipped size without React and the client. */
const MAX_REACT_BYTES = 3_000;
/** Subpaths that need an optional peer at import. All others import without one. */
const PEERS = {
  "lift-ws/aws-sdk": "@aws-sdk/client-apigatewaymanagementapi",
  "lift-ws/cdk": "aws-cdk-lib",
  "lift-ws/middleware/tracing": "@opentelemetry/api",
  "lift-ws/middleware/prometheus": "prom-client",
  "lift-ws/middleware/rate-limit-dynamodb": "rate-limiter-flexible",
  "lift-ws/react": "react",
};
/** What `lift-ws/cdk` needs besides aws-cdk-lib. */
const CDK_PEERS = ["constructs", "esbuild"];
const WITHOUT_PEERS = SUBPATHS.filter((subpath) => !Object.hasOwn(PEERS, subpath));
const execute = promisify(execFile);

const temporary = mkdtempSync(join(tmpdir(), "lift-ws-package-"));
/** A copy of the release's sources, so that the repository's dist does not change. */
const release = join(temporary, "release");
/** A project that uses the package. */
const consumer = join(temporary, "consumer");
const installed = join(consumer, "node_modules", manifest.name);
let tarball: string;
/** Paths in the tarball. */
let packed: string[];

beforeAll(async () => {
  mkdirSync(release);
  for (const name of readdirSync(ROOT)) {
    if (/^(?:src|docs|tsconfig.*\.json|package\.json|[A-Z]+\.md|LICENSE)$/.test(name)) {
      cpSync(join(ROOT, name), join(release, name), { recursive: true });
    }
  }
  symlinkSync(join(ROOT, "node_modules"), join(release, "node_modules"));
  expect(await compile(release)).toEqual({ code: 0, output: "" });

  const { stdout } = await execute(
    "npm",
    ["pack", "--json", "--ignore-scripts", "--pack-destination", temporary],
    {
      cwd: release,
    },
  );
  const [report] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
  tarball = join(temporary, report.filename);
  packed = report.files.map((file) => file.path);

  mkdirSync(consumer);
  writeFileSync(join(consumer, "package.json"), JSON.stringify({ private: true, type: "module" }));
  await execute(
    "npm",
    ["install", tarball, "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"],
    {
      cwd: consumer,
    },
  );
  // A peer that the application installs.
  mkdirSync(join(consumer, "node_modules/@aws-sdk"));
  const peer = "node_modules/@aws-sdk/client-dynamodb";
  symlinkSync(join(ROOT, peer), join(consumer, peer));
}, SET_UP_MS);

afterAll(() => rmSync(temporary, { recursive: true, force: true }));

/** Installs a package as the application would. */
function installPeer(name: string): void {
  const target = join(consumer, "node_modules", name);
  if (existsSync(target)) return;
  mkdirSync(dirname(target), { recursive: true });
  symlinkSync(join(ROOT, "node_modules", name), target);
}

/** Imports a subpath in a new process. @returns the `typeof` of the module, and Node's warnings */
async function importBy(node: string, subpath: string): Promise<[string, string]> {
  const attributes = subpath.endsWith(".json") ? ', { with: { type: "json" } }' : "";
  const script = `console.log(typeof await import("${subpath}"${attributes}));`;
  const { stdout, stderr } = await execute(node, ["--input-type=module", "--eval", script], {
    cwd: consumer,
  });
  return [stdout.trim(), stderr];
}

describe("the tarball", () => {
  it("contains the licence, the readme and the changelog", () => {
    expect(packed).toEqual(expect.arrayContaining(["LICENSE", "README.md", "CHANGELOG.md"]));
  });

  it("has the build, the source and the docs, and no tests", () => {
    const rest = packed.filter((path) => !/^(?:dist|src|docs)\//.test(path));
    const wanted = [
      "CHANGELOG.md",
      "COMPATIBILITY.md",
      "LICENSE",
      "PROTOCOL.md",
      "README.md",
      "package.json",
    ];
    expect(rest.sort()).toEqual(wanted);
    expect(packed.filter((path) => /\.test\.|(?:^|\/)test\//.test(path))).toEqual([]);
  });

  it("has every file that package.json points to, for each condition", () => {
    const targets = Object.values(manifest.exports).flatMap((target) =>
      typeof target === "string" ? [target] : Object.values(target),
    );
    const wanted = [...targets, ...Object.values(manifest.bin)].map((target) => target.replace("./", ""));
    expect(packed).toEqual(expect.arrayContaining(wanted));
  });

  it("has the targets of its docs' links, except those that only a clone has", () => {
    const linked = packed
      .filter((path) => path.endsWith(".md"))
      .flatMap((path) =>
        [...readFileSync(join(installed, path), "utf8").matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)].map(
          ([, target]) => join(dirname(path), target!),
        ),
      );
    expect(linked).toContain("docs/reference/cli.md");
    const missing = linked
      .filter((target) => !packed.includes(target))
      .map((target) => target.replace(/^examples\/.*/, "examples"));
    expect([...new Set(missing)].sort()).toEqual(["CONTRIBUTING.md", "bench/README.md", "examples"]);
  });

  it("contains the sources of all source maps", () => {
    const maps = packed.filter((path) => path.endsWith(".map"));
    const sources = maps.flatMap((path) => {
      const map = JSON.parse(readFileSync(join(installed, path), "utf8")) as { sources: string[] };
      return map.sources.map((source) => join(dirname(path), source));
    });
    expect(sources.length).toBeGreaterThan(0);
    expect(sources.filter((source) => !packed.includes(source))).toEqual([]);
  });

  it("passes publint", async () => {
    await execute(join(BIN, "publint"), ["run", tarball, "--strict"]);
  });

  it("passes attw: types resolve as the code does", async () => {
    await execute(join(BIN, "attw"), [tarball, "--profile", "esm-only", "--no-emoji"]);
  });
});

describe.each(Object.entries(NODES))("in %s", (version, node) => {
  it("is the expected version", async () => {
    const { stdout } = await execute(node, ["--version"]);
    expect(stdout).toMatch(version.replace("Node ", "v"));
  });

  it.each(WITHOUT_PEERS)("imports %s", async (subpath) => {
    expect(await importBy(node, subpath)).toEqual(["object", ""]);
  });

  it.each(Object.entries(PEERS))("reports that %s needs %s", async (subpath, peer) => {
    await expect(importBy(node, subpath)).rejects.toThrow(`Cannot find package '${peer}'`);
  });

  it("opens a store of sqlite without a warning", async () => {
    const script = `import { sqliteChannelStore } from "lift-ws/store/sqlite";
      const store = sqliteChannelStore({ path: ${JSON.stringify(join(temporary, `${version}.db`))} });
      console.log((await store.history.readHead("a")).offset);
      store.close();`;
    const { stdout, stderr } = await execute(node, ["--input-type=module", "--eval", script], {
      cwd: consumer,
    });
    expect([stdout.trim(), stderr]).toEqual(["0", ""]);
  });

  it("runs the lift-ws command", async () => {
    const env = { ...process.env, PATH: dirname(node) + delimiter + process.env.PATH };
    const { stdout } = await execute("node_modules/.bin/lift-ws", ["--version"], { cwd: consumer, env });
    expect(stdout.trim()).toBe(manifest.version);
  });
});

it("names the package to install when the command misses one", async () => {
  const jose = join(consumer, "node_modules/jose");
  renameSync(jose, `${jose}-away`);
  try {
    const running = execute("node_modules/.bin/lift-ws", ["token"], { cwd: consumer });
    await expect(running).rejects.toMatchObject({
      code: 1,
      stderr: "lift-ws: cannot start: jose is not installed: npm install jose\n",
    });
  } finally {
    renameSync(`${jose}-away`, jose);
  }
});

describe("with the optional peers", () => {
  beforeAll(() => {
    for (const peer of [...Object.values(PEERS), ...CDK_PEERS]) installPeer(peer);
  });

  it.each(
    Object.entries(NODES).flatMap(([version, node]) =>
      Object.keys(PEERS).map((subpath) => [version, subpath, node] as const),
    ),
  )("in %s imports %s", async (_version, subpath, node) => {
    expect(await importBy(node, subpath)).toEqual(["object", ""]);
  });
});

it.each(Object.entries(NODES))(
  "runs the README's example in %s, where npm has made package.json",
  async (version, node) => {
    const folder = join(consumer, version.replace(" ", "-"));
    mkdirSync(folder);
    // As `npm init` creates it.
    writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "commonjs" }));
    const readme = readFileSync(join(installed, "README.md"), "utf8");
    const example = codeBlocks(readme).find((block) => block.info === "ts run server.mts");
    const name = /^node (\S+)$/m.exec(readme)?.[1] ?? "";
    writeFileSync(join(folder, name), example?.code ?? "");
    const server = spawn(node, [name], {
      cwd: folder,
      env: { ...process.env, PORT: "0" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await Promise.race([once(server.stdout, "data"), once(server, "exit")]);
    server.kill("SIGKILL");
    expect(String(line)).toMatch(/^WebSocket +ws:/);
  },
);

describe("examples copied out of the repository", () => {
  beforeAll(() => {
    for (const name of ["esbuild", "jose", "zod"]) installPeer(name);
  });

  it.each(["chat", "streamer"])("%s serves its page and accepts its tokens", async (name) => {
    const folder = join(consumer, `copied-${name}`);
    cpSync(join(ROOT, "examples", name), folder, { recursive: true });
    const server = spawn(process.execPath, ["main.ts"], {
      cwd: folder,
      env: { ...process.env, PORT: "0", HOST: "", NODE_OPTIONS: "" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void server.kill("SIGKILL"));
    let output = "";
    for await (const line of createInterface(server.stdout)) {
      output += `${line}\n`;
      if (line.startsWith("Page ")) break;
    }
    const api = /^WebSocket +(\S+)$/m.exec(output)?.[1];
    const page = /^Page +(\S+)$/m.exec(output)?.[1] ?? "";
    expect(await (await fetch(page)).text()).toContain("<title>");
    const response = await fetch(new URL("/token", page), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: "ann", tenant: "demo" }),
    });
    const { token } = (await response.json()) as { token: string };
    const socket = new WebSocket(`${api}?token=${token}`);
    const [event] = (await Promise.race([once(socket, "open"), once(socket, "error")])) as [Event];
    expect(event.type).toBe("open");
    socket.close();
  });
});

it("compiles in a strict project that checks the declarations too", async () => {
  for (const types of ["@types/node", "@types/react", "@aws-sdk/client-s3"]) installPeer(types);
  const lines = MODULES.map((subpath, at) => `import * as module${at} from "${subpath}";`);
  const names = MODULES.map((_, at) => `module${at}`);
  writeFileSync(
    join(consumer, "app.ts"),
    `${lines.join("\n")}
import { Lift } from "lift-ws";
import { createClient } from "lift-ws/client";
import { memoryChannelStore } from "lift-ws/store/memory";
import { createStreamer } from "lift-ws/streamer";
export const all: object[] = [${names.join(", ")}];
const app = new Lift<{ visits: number }>();
app.webSocket("visit", async (ctx) => {
  const visits: number | undefined = await ctx.get("visits");
  // @ts-expect-error: the key is not one of the state's
  ctx.set("vists", (visits ?? 0) + 1);
});
export const handler = app.webSocketHandler();
export const streamer = createStreamer({
  channels: { room: { presence: true, subscribe: ({ userId }) => userId !== undefined }, user: {} },
  store: memoryChannelStore(),
});
export const client = createClient<typeof streamer>({ url: "wss://chat.example.com/prod" });
void client.publish("room:lobby", { text: "hi" });
// @ts-expect-error: there is no such namespace
client.subscribe("rooms:lobby");
`,
  );
  const options = {
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
    declaration: true,
  };
  const compilerOptions = { ...options, target: "es2023", module: "nodenext", types: ["node"] };
  writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["app.ts"] }));
  const { stdout } = await execute(join(BIN, "tsc"), ["-p", consumer]).catch((error) => error);
  // Declarations of aws-cdk-lib do not fit `exactOptionalPropertyTypes`; the lines after each fault are indented.
  const faults = stdout
    .split("\n")
    .filter((line: string) => !/^($|\s|node_modules\/aws-cdk-lib\/)/.test(line));
  expect(faults).toEqual([]);
});

it.each(FOR_BROWSERS)("bundles %s for browsers", async (subpath) => {
  const { outputFiles, metafile } = await bundle({
    stdin: { contents: `export * from "${subpath}";`, resolveDir: consumer },
    platform: "browser",
    format: "esm",
    bundle: true,
    write: false,
    metafile: true,
  });
  expect(Object.keys(metafile.inputs).filter((input) => input.includes("node_modules/lift-ws/"))).not.toEqual(
    [],
  );
  expect(Object.values(metafile.outputs).flatMap((output) => output.imports)).toEqual([]);
  const bundled = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0]!.text)}`);
  expect(Object.keys(bundled)).not.toEqual([]);
});

it(`has a client under ${MAX_CLIENT_BYTES} bytes, with nothing of Node in it`, async () => {
  const { outputFiles, metafile } = await bundle({
    stdin: { contents: 'export * from "lift-ws/client";', resolveDir: consumer },
    // Node's modules would not resolve.
    platform: "browser",
    target: "es2022",
    format: "esm",
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
  });
  const { contents, text } = outputFiles[0]!;
  const folders = Object.keys(metafile.inputs).map((input) => /lift-ws\/dist\/(\w+)\//.exec(input)?.[1]);
  expect(new Set(folders.filter((folder) => folder !== undefined))).toEqual(new Set(["client", "protocol"]));
  expect(text).not.toMatch(/\b(?:process|Buffer|require|__dirname)\b/);
  const { length } = gzipSync(contents, { level: 9 });
  expect(length).toBeGreaterThan(1_000);
  expect(length).toBeLessThan(MAX_CLIENT_BYTES);
});

it(`has React hooks under ${MAX_REACT_BYTES} bytes, which a server's components may import`, async () => {
  const { outputFiles, metafile } = await bundle({
    stdin: { contents: 'export * from "lift-ws/react";', resolveDir: consumer },
    external: ["react", join(installed, "dist/client/index.js")],
    platform: "browser",
    target: "es2022",
    format: "esm",
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
  });
  const folders = Object.keys(metafile.inputs).map((input) => /lift-ws\/dist\/(\w+)\//.exec(input)?.[1]);
  expect(new Set(folders.filter((folder) => folder !== undefined))).toEqual(new Set(["react"]));
  const { length } = gzipSync(outputFiles[0]!.contents, { level: 9 });
  expect(length).toBeGreaterThan(500);
  expect(length).toBeLessThan(MAX_REACT_BYTES);
  const built = readFileSync(join(installed, "dist/react/index.js"), "utf8");
  expect(built).toMatch(/^"use client";/);
});
