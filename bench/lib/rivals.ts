import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = new URL("../rivals/", import.meta.url);

/** Installs the rivals from their lockfile, unless they are installed from it. */
export async function installRivals(progress: (line: string) => void): Promise<void> {
  if (isInstalled()) return;
  progress("installing the rivals (npm ci in bench/rivals), about 20 s");
  const npm = spawn("npm", ["ci"], { cwd: fileURLToPath(folder), stdio: ["ignore", 2, 2] });
  const code = await new Promise<number | null>((resolve, reject) => {
    npm.once("error", reject);
    npm.once("exit", resolve);
  });
  if (code !== 0) throw new Error(`npm ci in bench/rivals failed with exit code ${code}`);
}

interface Lockfile {
  readonly packages: { readonly [path: string]: { readonly version?: string } };
}

function isInstalled(): boolean {
  const installed = new URL("node_modules/.package-lock.json", folder);
  if (!existsSync(installed)) return false;
  const there = readLockfile(installed);
  return Object.entries(readLockfile(new URL("package-lock.json", folder)))
    .filter(([path]) => !path.slice("node_modules/".length).includes("/") && path !== "")
    .every(([path, { version }]) => there[path] === undefined || there[path].version === version);
}

function readLockfile(file: URL): Lockfile["packages"] {
  return (JSON.parse(readFileSync(file, "utf8")) as Lockfile).packages;
}
