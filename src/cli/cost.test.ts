import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { codeBlocks, inBackticks, sections, tableRows } from "../../test/support/markdown.ts";
import { run } from "./run.ts";

const PAGE = readFileSync(join(import.meta.dirname, "../../docs/operations/cost.md"), "utf8");

async function cost(...flags: string[]) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await run(["cost", ...flags], { stdout, stderr });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

describe("lift-ws cost", () => {
  it("prints what docs/operations/cost.md shows", async () => {
    const [command, output] = codeBlocks(PAGE);
    const [, , , ...flags] = command!.code.trim().split(" ");
    expect(await cost(...flags)).toEqual({ code: 0, stdout: output!.code, stderr: "" });
  });

  it.each(tableRows(sections(PAGE).get("Comparison") ?? ""))(
    "%s: costs what the page says",
    async (flags = "", ...cells) => {
      const { stdout } = await cost("--json", ...(inBackticks(flags)[0]?.split(" ") ?? []));
      const { streamer, original, naive } = JSON.parse(stdout);
      const delivery = ({ dollars }: { dollars: Record<string, number> }) =>
        dollars.messages! + dollars.connectionMinutes! + dollars.sentGb!;
      const percent = (ours: number, theirs: number) => {
        const change = Math.round(100 * (ours / theirs - 1));
        return `${change > 0 ? "+" : ""}${change} %`;
      };
      expect(cells).toEqual([
        ...[streamer, original, naive].map(({ total }) => `$${Math.round(total).toLocaleString("en")}`),
        percent(streamer.total, original.total),
        percent(streamer.total - delivery(streamer), original.total - delivery(original)),
      ]);
    },
  );

  it("prints the workload, the estimates and the prices as JSON", async () => {
    const { stdout } = await cost("--json", "--connections", "5", "--at-most-once");
    expect(JSON.parse(stdout)).toMatchObject({
      region: "us-east-1",
      workload: { connections: 5, fanOut: 10, atMostOnce: true },
      streamer: { design: "lift-ws", usage: { connectionMinutes: 219_000 }, total: expect.any(Number) },
      prices: { reads: { per: 1_000_000, tiers: [{ dollars: 0.125 }] } },
    });
  });

  it.each([
    [["--connections", "0"], '--connections must be a number from 1 to 1000000000; got "0"'],
    [["--fan-out", "many"], '--fan-out must be a number from 0 to 1000000000; got "many"'],
    [["--memory", ""], '--memory must be a number from 128 to 10240; got ""'],
    [["--connection-minutes", "121"], '--connection-minutes must be a number from 0.1 to 120; got "121"'],
    [["app.ts"], 'Unexpected argument "app.ts"'],
  ])("%j is a usage error: %s", async (flags, reason) => {
    const { code, stdout, stderr } = await cost(...flags);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(reason);
  });
});
