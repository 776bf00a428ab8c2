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

/** Loads what the command line asks for, and again after a save. */
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
    const program = supportCallbacks(await loadApp(this.#target, this.#modules), (key) =>
      this.#warnOfCallback(key),
    );
    if (this.#tickets === undefined) return program;
    return { ...program, tickets: await loadTickets(this.#tickets, this.#modules) };
  }

  watch(host: DevHost): SaveWatcher {
    const routesFile = this.#target.kind === "routes" ? [this.#target.path] : [];
    return new SaveWatcher(
      () => [...this.#modules.files, ...routesFile],
      () => this.#reload(host),
    );
  }

  /** `false`: what was saved is broken, and the handlers from before go on. */
  async #reload(host: DevHost): Promise<boolean> {
    this.#modules.startGeneration();
    const restoreMetrics = clearRegisteredMetrics();
    try {
      host.replace(await this.load());
      logNote("Loaded again", this.#terminal);
      return true;
    } catch (error) {
      restoreMetrics();
      logFailure(error, this.#terminal.stderr);
      logNote("The handlers from before go on", this.#terminal);
      return false;
    }
  }

  #warnOfCallback(key: string): void {
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    const text = `Warning: ${key} ends by a callback. It runs here, but Lambda's Node 24 runtime has no callbacks: make it async.`;
    const stream = this.#terminal.stderr;
    stream.write(`${styleText("yellow", text, { stream })}\n`);
  }
}

/** The part of prom-client's registry that is used here. */
interface Registry {
  getMetricsAsArray(): readonly object[];
  registerMetric(metric: object): void;
  clear(): void;
}

const { cache } = createRequire(import.meta.url);

/**
 * Empties prom-client's shared registry, as installed packages are not loaded again: a module that registers its
 * metrics would find each name taken.
 * @returns puts the metrics back
 */
function clearRegisteredMetrics(): () => void {
  const modules = Object.values(cache).filter((module) =>
    /[/]prom-client[/]index\.js$/.test(module?.id ?? ""),
  );
  const registries = modules.map((module) => (module!.exports as { register: Registry }).register);
  const kept = registries.map((registry) => [registry, registry.getMetricsAsArray()] as const);
  for (const registry of registries) registry.clear();
  return () => {
    for (const [registry, metrics] of kept) {
      registry.clear();
      for (const metric of metrics) registry.registerMetric(metric);
    }
  };
}
