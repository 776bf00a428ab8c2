import { createRequire } from "node:module";

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
export function clearRegisteredMetrics(): () => void {
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
