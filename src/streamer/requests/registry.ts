import { LiftError } from "../../lift/index.ts";
import { invalidOption } from "../errors.ts";
import type { RequestDefinition, RequestDescription, RequestSettings } from "./options.ts";

/** The application's own actions. */
export class RequestRegistry {
  readonly #definitions = new Map<string, RequestDefinition>();
  readonly #settings: RequestSettings;
  readonly #hasStore: boolean;
  readonly #readRouteKeys: () => Iterable<string>;

  constructor(settings: RequestSettings, hasStore: boolean, readRouteKeys: () => Iterable<string>) {
    this.#settings = settings;
    this.#hasStore = hasStore;
    this.#readRouteKeys = readRouteKeys;
  }

  get definitions(): ReadonlyMap<string, RequestDefinition> {
    return this.#definitions;
  }

  /** Describes the actions, for generated documentation. */
  describe(): Map<string, RequestDescription> {
    const describe = (definition: RequestDefinition): RequestDescription => {
      const { input, output, progress } = definition;
      return { input, output, progress, isStored: this.isLong(definition) };
    };
    return new Map([...this.#definitions].map(([name, definition]) => [name, describe(definition)]));
  }

  get(action: string): RequestDefinition | undefined {
    return this.#definitions.get(action);
  }

  /** Whether a request is stored although its client has not asked for it. */
  isLong({ estimatedMs }: RequestDefinition): boolean {
    return estimatedMs > this.#settings.inPlaceMs;
  }

  /** @throws {LiftError} ROUTE_EXISTS, INVALID_OPTION */
  add(definition: RequestDefinition): void {
    const { name, timeoutMs = 0 } = definition;
    if (this.#definitions.has(name) || [...this.#readRouteKeys()].includes(name)) {
      throw new LiftError("ROUTE_EXISTS", { message: `The action \`${name}\` is already registered` });
    }
    if (this.isLong(definition) && !this.#hasStore) {
      throw invalidOption(`The request \`${name}\` is long, so it needs a \`store\` with \`requests\``);
    }
    if (!this.isLong(definition) && timeoutMs > 25_000 && !this.#hasStore) {
      throw invalidOption(
        `\`${name}.timeoutMs\` must be at most 25,000 for a request that is answered in place`,
      );
    }
    this.#definitions.set(name, definition);
  }
}
