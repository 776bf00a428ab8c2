/** For one answer, in ms. Longer than a cold start and than API Gateway waits for an authorizer. */
export const ANSWER_MS = 45_000;

/** Resolves as `work` does. @throws Error after `ms`; `work` goes on */
export async function withLimit<Value>(
  work: Promise<Value>,
  ms = ANSWER_MS,
  message = `no answer in ${ms / 1_000} s`,
): Promise<Value> {
  const end = Promise.withResolvers<never>();
  const timer = setTimeout(() => end.reject(new Error(message)), ms);
  try {
    return await Promise.race([work, end.promise]);
  } finally {
    clearTimeout(timer);
  }
}
