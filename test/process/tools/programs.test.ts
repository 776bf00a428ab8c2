import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { ensurePrograms, findChromium, findJava } from "../../../tools/programs.mjs";

const JAVA = "#!/bin/sh\necho 'openjdk version \"17.0.1\" 2021-10-19' >&2\n";
/** A fake apt-get that records its arguments and adds the packages to PATH. */
const APT_GET = `#!/bin/sh
folder=$(dirname "$0")
echo "$@" >> "$folder/calls"
case "$*" in *" install "*) cp "$folder/java-to-be" "$folder/java"; touch "$folder/chromium";; esac
`;

/** The folder on PATH beside the system's tools. */
let folder: string;
let osRelease: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lift-ws-programs-"));
  // The shell scripts need these two. Chromium and Java may be in the same folder.
  for (const tool of ["cp", "touch", "dirname"])
    program(tool, `#!/bin/sh\nPATH=/usr/bin:/bin exec ${tool} "$@"\n`);
  vi.stubEnv("PATH", [folder, ""].join(delimiter));
  vi.stubEnv("CHROMIUM_PATH", "");
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  osRelease = join(folder, "os-release");
  writeFileSync(osRelease, 'NAME="Debian GNU/Linux"\nID=debian\n');
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });
});

it("installs nothing when both are on PATH", async () => {
  program("java", JAVA);
  program("chromium", "");
  await ensurePrograms({ uid: 1000, osRelease });
  expect([findChromium(), findJava()]).toEqual([join(folder, "chromium"), join(folder, "java")]);
});

it("prefers the shell of Chromium", () => {
  for (const name of ["chromium", "chromium-headless-shell"]) program(name, "");
  expect(findChromium()).toBe(join(folder, "chromium-headless-shell"));
});

it("installs only missing programs, on Debian as root", async () => {
  program("apt-get", APT_GET);
  program("java-to-be", JAVA);
  program("chromium", "");
  await ensurePrograms({ uid: 0, osRelease });
  const calls = readFileSync(join(folder, "calls"), "utf8").trim().split("\n");
  expect(calls.map((call) => call.replace(/^-o \S+ /, ""))).toEqual([
    "update",
    "install -y --no-install-recommends default-jre-headless",
  ]);
});

it("treats a Java that is too old or a placeholder as missing", async () => {
  program("chromium", "");
  program("java", JAVA.replace("17.0.1", "11.0.2"));
  await expect(ensurePrograms({ uid: 1000, osRelease })).rejects.toThrow(
    /^The tests need a Java runtime \(17/,
  );
  program("java", "#!/bin/sh\nexit 1\n");
  await expect(ensurePrograms({ uid: 1000, osRelease })).rejects.toThrow(
    /^The tests need a Java runtime \(17/,
  );
});

it.each([
  ["who is not root", 1000, "ID=debian\n"],
  ["on another system", 0, "ID=ubuntu\nID_LIKE=debian\n"],
])("names the packages to install in one line for a user %s", async (_who, uid, release) => {
  writeFileSync(osRelease, release);
  await expect(ensurePrograms({ uid, osRelease })).rejects.toThrow(
    "The tests need Chromium and a Java runtime (17 or later) on PATH. " +
      "On Debian: apt-get install chromium-headless-shell default-jre-headless",
  );
});

it("reports the failure of apt-get in one line", async () => {
  program(
    "apt-get",
    "#!/bin/sh\necho 'W: old list'\necho 'E: Unable to locate package chromium'\nexit 100\n",
  );
  await expect(ensurePrograms({ uid: 0, osRelease })).rejects.toThrow(
    /^apt-get update failed: Unable to locate package chromium$/,
  );
});

function program(name: string, script: string): void {
  writeFileSync(join(folder, name), script);
  chmodSync(join(folder, name), 0o755);
}
