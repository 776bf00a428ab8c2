import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Files, fileType, type PageHandler, type PageOptions, servePage } from "./serve-page.ts";

/** Bundles the demo's page with the client into one script, and serves it with `POST /token`. */
export async function page(options: PageOptions): Promise<PageHandler> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("page/main.ts", import.meta.url))],
    bundle: true,
    format: "esm",
    target: "es2023",
    // The package's source, so that the repository's demo needs no build.
    conditions: ["@lift-ws/source"],
    // The repository's package.json has `"sideEffects": false`, which is not true of the page's modules.
    ignoreAnnotations: true,
    // A copy of this folder has no tsconfig.json above it.
    tsconfigRaw: {},
    sourcemap: "inline",
    write: false,
  });
  const file = (name: string, body: string | Uint8Array) => ({ type: fileType(name), body });
  const files: Files = new Map([
    ["/", file("index.html", toStage(read("index.html").toString(), options.stage))],
    ["/streamer.css", file("streamer.css", read("streamer.css"))],
    ["/icon.svg", file("icon.svg", read("icon.svg"))],
    ["/main.js", file("main.js", outputFiles[0]!.contents)],
  ]);
  return servePage(files, options);
}

/** Sets the path of the API's stage. */
function toStage(html: string, stage = "dev"): string {
  return html.replace('content="/dev"', `content="/${encodeURIComponent(stage)}"`);
}

function read(name: string): Buffer {
  return readFileSync(new URL(`page/${name}`, import.meta.url));
}
