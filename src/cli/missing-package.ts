/** `Cannot find package '@scope/name' imported from …` of an import, `Cannot find module 'name/part'` of a require. */
const MESSAGE = /^Cannot find (?:package|module) '((?:@[\w.~-]+\/)?[\w~-][\w.~-]*)(?:\/[^']*)?'/;

/** The package that is not installed, when that is why something could not be loaded. */
export function findMissingPackage(error: unknown): string | undefined {
  const { code, message = "" } = error as NodeJS.ErrnoException;
  if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") return undefined;
  return MESSAGE.exec(message)?.[1];
}

export function installHint(name: string): string {
  return `${name} is not installed: npm install ${name}`;
}
