import { globSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { Example, scriptsIn } from "./example.ts";

const DOCS = globSync("docs/**/*.md", { cwd: join(import.meta.dirname, "../..") });
/** Pages that have only a client. */
const WITHOUT_SERVER = ["docs/guide/client.md"];

const documents = DOCS.map((document) => [document, scriptsIn(document)] as const);

it.each(documents.filter(([, scripts]) => scripts.length > 0))(
  "%s has an example with the documented output",
  async (document, scripts) => {
    const server = await Example.start(
      WITHOUT_SERVER.includes(document) ? "docs/guide/channels.md" : document,
    );
    onTestFinished(() => server.end());
    for (const script of scripts) expect(await server.run(script)).toBe(script.prints);
  },
);
