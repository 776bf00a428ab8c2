import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import ts from "typescript";

/** A file that exists in memory only. */
export interface MemoryFile {
  /** The name in error messages. */
  readonly name: string;
  readonly code: string;
}

export interface CompilationOptions {
  /** The folder of tsconfig.json. */
  readonly root: string;
  /** Paths of files on disk. */
  readonly sources: readonly string[];
  /** Files in memory by path. */
  readonly memory: ReadonlyMap<string, MemoryFile>;
  /** Differences from the options of tsconfig.json. */
  readonly options: ts.CompilerOptions;
}

/** One program of files on disk and in memory. */
export class Compilation {
  readonly program: ts.Program;
  readonly #memory: ReadonlyMap<string, MemoryFile>;

  constructor({ root, sources, memory, options }: CompilationOptions) {
    const compilerOptions = { ...readCompilerOptions(root), ...options };
    this.#memory = memory;
    this.program = ts.createProgram(
      [...sources, ...memory.keys()],
      compilerOptions,
      createHost(compilerOptions, memory),
    );
  }

  /** Returns the errors of files in memory, and of the compiler options. The files on disk are not checked. */
  readonly errorsIn = (paths: Iterable<string>): string[] => {
    const { program } = this;
    const files = [...paths].map((path) => program.getSourceFile(path)!);
    const errors = [
      ...program.getConfigFileParsingDiagnostics(),
      ...program.getOptionsDiagnostics(),
      ...files.flatMap((file) => program.getSyntacticDiagnostics(file)),
      ...program.getGlobalDiagnostics(),
      ...files.flatMap((file) => program.getSemanticDiagnostics(file)),
    ];
    return errors.map(({ file, messageText }) => {
      const name = this.#memory.get(file?.fileName ?? "")?.name ?? basename(file?.fileName ?? "options");
      return `${name}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
    });
  };
}

function readCompilerOptions(root: string): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  return ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root).options;
}

function createHost(options: ts.CompilerOptions, memory: ReadonlyMap<string, MemoryFile>): ts.CompilerHost {
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  const folders = new Set([...memory.keys()].flatMap((file) => [dirname(file), dirname(dirname(file))]));
  return {
    ...host,
    directoryExists: (folder) => folders.has(folder) || existsSync(folder),
    fileExists: (file) => memory.has(file) || fileExists(file),
    readFile: (file) => memory.get(file)?.code ?? readFile(file),
    getSourceFile: (file, language, ...rest) => {
      const code = memory.get(file)?.code;
      return code === undefined
        ? getSourceFile(file, language, ...rest)
        : ts.createSourceFile(file, code, language);
    },
  };
}
