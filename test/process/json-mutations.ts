// Variants of a message with one changed value.

/** Replacement values. `undefined` removes the value. */
export const VALUES = [
  undefined,
  null,
  true,
  -1,
  0,
  1,
  1.5,
  100,
  101,
  2 ** 53,
  "",
  "room",
  "room:a",
  "stream:a",
  "room:\n",
  `room:${"a".repeat(200)}`,
  `room:${"a".repeat(201)}`,
  "a".repeat(128),
  "a".repeat(129),
  "chat",
  "stream",
  "history",
  "heartbeat",
  [],
  ["room:a"],
  Array.from({ length: 100 }, () => "room:a"),
  Array.from({ length: 101 }, () => "room:a"),
  {},
  { epoch: "e", offset: 1 },
  { channel: "room:a" },
];

export type Path = readonly (string | number)[];

/** Paths of all values in a message, and of fields that it might have. */
export function listPaths(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const names = Array.isArray(value) ? [...value.keys()] : [...Object.keys(value), ...UNKNOWN_FIELDS];
  const inner = names.flatMap((name) =>
    listPaths((value as { [name: string]: unknown })[name], [...path, name]),
  );
  return path.length === 0 ? inner : [path, ...inner];
}

const UNKNOWN_FIELDS = [
  "id",
  "key",
  "others",
  "recent",
  "position",
  "after",
  "before",
  "limit",
  "state",
  "other",
];

export function replaceAt(value: unknown, path: Path, by: unknown): unknown {
  return JSON.parse(JSON.stringify(replaceIn(value, path, by)));
}

function replaceIn(value: unknown, [name, ...rest]: Path, by: unknown): unknown {
  if (name === undefined) return by;
  const within = (value as { [name: string]: unknown })[name];
  if (Array.isArray(value)) return value.with(Number(name), replaceIn(within, rest, by) ?? null);
  return { ...(value as object), [name]: replaceIn(within, rest, by) };
}
