/** `Cannot find package '@scope/name' imported from …` (import) or `Cannot find module 'name/path'` (require). */
const MESSAGE = /^Cannot find (?:package|module) '((?:@[\w.~-]+\/)?[\w~-][\w.~-]*)(?:\/[^']*)?'/;

/** Returns the package that is not installed, when an error of `import` or `require` says so. */
export function findMissingPackage(error: unknown): string | undefined {
  const { code, message = "" } = error as NodeJS.ErrnoException;
  if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") return undefined;
  return MESSAGE.exec(message)?.[1];
}

/** Returns the remedy for a package that is not installed. */
export function installHint(name: string): string {
  return `${name} is not installed: npm install ${name}`;
}
