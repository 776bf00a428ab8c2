export type Log = (level: "info" | "warn" | "error", message: string, fields?: object) => void;

/** Writes one line of JSON, which CloudWatch Logs can query. */
export const log: Log = (level, message, fields = {}) => {
  const json = JSON.stringify({ level, message, ...fields }, (_key, value) =>
    value instanceof Error ? { name: value.name, message: value.message, stack: value.stack } : value,
  );
  console[level](json);
};
