import { type JsonSchema, namedJsonSchemas } from "../../protocol/index.ts";

/** The JSON Schemas of a document that others refer to, by name. Starts with the protocol's own. */
export class Definitions {
  readonly #schemas = new Map<string, JsonSchema>(Object.entries(namedJsonSchemas(Definitions.pointer)));

  /** @returns a reference to the schema */
  define(name: string, schema: JsonSchema): JsonSchema {
    this.#schemas.set(name, schema);
    return { $ref: Definitions.pointer(name) };
  }

  get all(): { readonly [name: string]: JsonSchema } {
    return Object.fromEntries(this.#schemas);
  }

  static pointer(name: string): string {
    return `#/components/schemas/${name}`;
  }
}
