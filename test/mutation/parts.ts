/** Part of the product whose mutants are run together. */
export interface Part {
  /** Folders of product code, below the root. */
  readonly sources: readonly string[];
  /** Folders inside `sources` that are a part of their own. */
  readonly except?: readonly string[];
  /** Folders and files with the tests that may notice a mutant. */
  readonly tests: readonly string[];
  /** The tests need DynamoDB Local. Default: false */
  readonly dynamodb?: boolean;
}

/** The parts of `npm run mutate -- <part>`. */
export const PARTS: { readonly [name: string]: Part } = {
  protocol: { sources: ["src/protocol"], tests: ["src/protocol"] },
  streamer: {
    sources: ["src/streamer"],
    // Only DynamoDB has the table stream that starts requests on Lambda.
    tests: ["src/streamer", "test/streamer", "test/dynamodb/request-dispatch.test.ts"],
    dynamodb: true,
  },
  "store-memory": { sources: ["src/store/memory"], tests: ["src/store/memory"] },
  "store-sqlite": { sources: ["src/store/sqlite"], tests: ["src/store/sqlite"] },
  "store-dynamodb": {
    sources: ["src/store/dynamodb"],
    tests: ["src/store/dynamodb", "test/dynamodb"],
    dynamodb: true,
  },
  lift: {
    sources: ["src/lift"],
    except: ["src/lift/middleware"],
    tests: ["src/lift", "test/lift"],
  },
  middleware: {
    sources: ["src/lift/middleware"],
    tests: ["src/lift/middleware", "test/lift", "test/dynamodb/rate-limit.test.ts"],
    dynamodb: true,
  },
  stacks: {
    sources: ["src/lambda-emulator/template", "src/lambda-emulator/policy"],
    tests: ["src/lambda-emulator/template", "src/lambda-emulator/policy"],
  },
  gateway: { sources: ["src/gateway"], tests: ["src/gateway", "test/conformance"] },
  // Without test/client/chaos.test.ts, which takes too long to be repeated for each mutant.
  client: { sources: ["src/client"], tests: ["src/client", "test/client/streamer.test.ts"] },
};
