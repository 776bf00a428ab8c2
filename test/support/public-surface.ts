import ts from "typescript";

export interface Undocumented {
  /** Exports and their members without a docstring: `lift-ws/client ClientOptions.url`. */
  readonly withoutDocstring: string[];
  /** Exported functions whose docstring has no `@example`. */
  readonly withoutExample: string[];
}

/**
 * Finds exports, and members of exported interfaces and classes, that lack documentation.
 * @param program has the entries
 * @param entries the source file of each subpath, by the subpath's name
 */
export function findUndocumented(program: ts.Program, entries: ReadonlyMap<string, string>): Undocumented {
  const checker = program.getTypeChecker();
  const withoutDocstring = new Set<string>();
  const withoutExample = new Set<string>();
  const seen = new Set<ts.Symbol>();
  for (const [subpath, file] of entries) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file)!);
    for (const exported of module ? checker.getExportsOfModule(module) : []) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      const declarations = symbol.declarations?.filter((declaration) => isOurs(declaration)) ?? [];
      if (declarations.length === 0 || seen.has(symbol)) continue;
      seen.add(symbol);
      const name = `${subpath} ${exported.name}`;
      if (!isDocumented(symbol)) withoutDocstring.add(name);
      if (isFunction(symbol) && !hasExample(symbol)) withoutExample.add(name);
      for (const member of declarations.flatMap((declaration) => publicMembers(declaration))) {
        const memberSymbol = checker.getSymbolAtLocation(member.name!);
        if (memberSymbol && !isDocumented(memberSymbol)) {
          withoutDocstring.add(`${name}.${memberSymbol.name}`);
        }
      }
    }
  }
  return { withoutDocstring: [...withoutDocstring].sort(), withoutExample: [...withoutExample].sort() };

  function isDocumented(symbol: ts.Symbol): boolean {
    return symbol.getDocumentationComment(checker).length > 0 || symbol.getJsDocTags(checker).length > 0;
  }

  function hasExample(symbol: ts.Symbol): boolean {
    return symbol.getJsDocTags(checker).some(({ name }) => name === "example");
  }

  function isFunction(symbol: ts.Symbol): boolean {
    if (symbol.flags & ts.SymbolFlags.Function) return true;
    if (!(symbol.flags & ts.SymbolFlags.Variable)) return false;
    return checker.getTypeOfSymbol(symbol).getCallSignatures().length > 0;
  }
}

function isOurs(node: ts.Node): boolean {
  return !node.getSourceFile().fileName.includes("/node_modules/");
}

/** The named members of an interface, a class or an object type that users can see. */
function publicMembers(declaration: ts.Declaration): (ts.ClassElement | ts.TypeElement)[] {
  const type = ts.isTypeAliasDeclaration(declaration) ? declaration.type : declaration;
  if (!ts.isInterfaceDeclaration(type) && !ts.isClassDeclaration(type) && !ts.isTypeLiteralNode(type))
    return [];
  return [...type.members].filter((member) => {
    if (member.name === undefined || ts.isPrivateIdentifier(member.name)) return false;
    if (ts.isConstructorDeclaration(member)) return false;
    const flags = ts.getCombinedModifierFlags(member);
    // An override inherits the description of what it overrides.
    return !(flags & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected | ts.ModifierFlags.Override));
  });
}
