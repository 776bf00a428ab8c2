import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Command, readArguments, type Terminal, type Usage, usageError } from "./arguments.ts";
import { CliError } from "./errors.ts";
import { type ExportedStack, exportStack } from "./export/export-stack.ts";
import { readTemplateFile, stackNameOf } from "./local/stack.ts";

const usage = {
  name: "export",
  summary: "Write a stack of CDK as templates for CloudFormation, SAM and the Serverless Framework.",
  forms: ["<template> [flags]"],
  flags: {
    out: { type: "string", placeholder: "<folder>", help: "A new or empty folder. Default: templates" },
  },
  notes: [
    "The template is that of `cdk synth`, with the code of its functions beside it: cdk.out/Chat.template.json.",
    "All three grant what it grants, and share the functions' code.",
  ],
} as const satisfies Usage;

/** The command `export`. It reads files only, so it needs no CDK. */
export const exportTemplates: Command = { usage, run };

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  const [file, extra] = positionals;
  if (file === undefined) throw usageError(usage, "Nothing to export: give a template");
  if (extra !== undefined) throw usageError(usage, `Unexpected argument "${extra}"`);
  const out = flags.out ?? "templates";
  if (existsSync(out) && readdirSync(out).length > 0) {
    throw new CliError("USAGE", `${out} is not empty: remove it, or name another folder with --out`);
  }
  const stack = readTemplateFile(resolve(file), (text, path) => exportStack(text, path, stackNameOf(file)));
  try {
    write(stack, out);
  } catch (error) {
    throw new CliError("FAILED", `Can't write ${resolve(out)} (${(error as NodeJS.ErrnoException).code})`);
  }
  for (const name of [...stack.templates.keys(), "functions"]) terminal.stdout.write(`${join(out, name)}\n`);
  return 0;
}

function write({ templates, functions }: ExportedStack, out: string): void {
  mkdirSync(out, { recursive: true });
  for (const { path, source } of functions) cpSync(source, join(out, path), { recursive: true });
  for (const [name, text] of templates) writeFileSync(join(out, name), text);
}
