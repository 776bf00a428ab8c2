import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const source = { conditions: ["@lift-ws/source"] };

// Fast tests run in memory or on loopback sockets; slow ones need a browser, a build or processes of their own.
const slow = [
  "src/lambda-emulator/{*,functions/*,table-stream/*}.test.ts",
  "test/cdk/**/*.test.ts",
  "test/browser/**/*.test.ts",
  "test/package/**/*.test.ts",
  "test/process/**/*.test.ts",
];
// These run on Amazon's DynamoDB Local, so with Java.
const dynamodb = ["src/store/dynamodb/**/*.test.ts", "test/dynamodb/**/*.test.ts"];

/** Files that take long although they are short. Without a cache, Vitest starts short files last, and waits for them alone. */
const long = ["workshop", "verify", "prometheus"].map((name) => `/test/process/${name}.test.ts`);

class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => long.some((file) => moduleId.endsWith(file));
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  resolve: source,
  ssr: { resolve: source },
  test: {
    // More than cores, because tests of processes, browsers and databases often wait for them.
    maxWorkers: Math.ceil(1.5 * availableParallelism()),
    sequence: { sequencer: LongFilesFirst },
    globalSetup: ["test/secrets/folder.ts", "test/support/compile-cache.ts"],
    setupFiles: ["test/secrets/record.ts", "test/support/deterministic.ts"],
    // A limit tells a hang from a slow machine, so it is far from what a test takes.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Spies end with their test.
    restoreMocks: true,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: "fast",
          include: ["{src,test,examples}/**/*.test.ts"],
          exclude: [...slow, ...dynamodb],
          // A worker runs many files: a process for each would load the same modules again.
          isolate: false,
          setupFiles: ["test/support/leaks.ts"],
        },
      },
      { extends: true, test: { name: "slow", include: slow } },
      {
        extends: true,
        test: {
          name: "dynamodb",
          include: dynamodb,
          globalSetup: ["test/dynamodb/global-setup.ts"],
          testTimeout: 600_000,
        },
      },
    ],
  },
});
