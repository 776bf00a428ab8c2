import { createRequire } from "node:module";
import { styleText } from "node:util";
import type { Terminal } from "../arguments.ts";
import { logFailure, logNote } from "../log.ts";
import type { Reference } from "../project/handlers.ts";
import { type LoadedApp, loadApp, loadTickets, type Target } from "../project/loaded-app.ts";
import { ProjectModules } from "../project/modules.ts";
import { supportCallbacks } from "./callback-handlers.ts";
import type { DevHost } from "./host.ts";
import { SaveWatcher } from "./watch.ts";

/** Loads the app that the command line names, and reloads it after a save. */
export class AppLoader {
  readonly #target: Target;
  readonly #tickets: Reference | undefined;
  readonly #terminal: Terminal;
  readonly #modules = new ProjectModules();
  readonly #warned = new Set<string>();

  constructor(target: Target, tickets: Reference | undefined, terminal: Terminal) {
    this.#target = target;
    this.#tickets = tickets;
    this.#terminal = terminal;
  }

  /** @throws {CliError} as {@link loadApp} does */
  async load(): Promise<LoadedApp> {
    const loaded = supportCallbacks(await loadApp(this.#target, this.#modules), (key) =>
      this.#warnOfCallback(key),
    );
    if (this.#tickets === undefined) return loaded;
    return { ...loaded, tickets: await loadTickets(this.#tickets, this.#modules) };
  }

  watch(host: DevHost): SaveWatcher {
    const routesFile = this.#target.kind === "routes" ? [this.#target.path] : [];
    return new SaveWatcher(
      () => [...this.#modules.files, ...routesFile],
      () => this.#reload(host),
    );
  }

  /** Returns false when the saved files are broken; the previous handlers then stay in use. */
  async #reload(host: DevHost): Promise<boolean> {
    this.#modules.startGeneration();
    const restoreMetrics = clearRegisteredMetrics();
    try {
      host.replace(await this.load());
      logNote("Reloaded", this.#terminal);
      return true;
    } catch (error) {
      restoreMetrics();
      logFailure(error, this.#terminal.stderr);
      logNote("The previous handlers stay in use", this.#terminal);
      return false;
    }
  }

  #warnOfCallback(key: string): void {
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    const text = `Warning: ${key} uses a callback. It runs here, but Lambda's Node 24 runtime has no callbacks: make it async.`;
    const stream = this.#terminal.stderr;
    stream.write(`${styleText("yellow", text, { stream })}\n`);
  }
}

/** Members of prom-client's registry. */
interface Registry {
  getMetricsAsArray(): readonly object[];
  registerMetric(metric: object): void;
  clear(): void;
}

const { cache } = createRequire(import.meta.url);

/**
 * Clears prom-client's shared registry before a reload. Installed packages are not reloaded, so a reloaded module could not
 * register its metrics again.
 * @returns a function that restores the metrics
 */
function clearRegisteredMetrics(): () => void {
  const modules = Object.values(cache).filter((module) =>
    /[/]prom-client[/]index\.js$/.test(module?.id ?? ""),
  );
  const registries = modules.map((module) => (module!.exports as { register: Registry }).register);
  const saved = registries.map((registry) => [registry, registry.getMetricsAsArray()] as const);
  for (const registry of registries) registry.clear();
  return () => {
    for (const [registry, metrics] of saved) {
      registry.clear();
      for (const metric of metrics) registry.registerMetric(metric);
    }
  };
}
