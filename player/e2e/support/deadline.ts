import { setTimeout as pause } from "node:timers/promises";

/** Asks until the answer is there; fails after `withinMs` and says what was waited for. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  withinMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  let problem: unknown;
  do {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      problem = error;
    }
    await pause(50);
  } while (Date.now() < deadline);
  throw new Error(`${what}: not within ${withinMs} ms`, { cause: problem });
}
