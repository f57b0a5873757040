import { bytesOf, type JoinContext, WHOLE_LIMIT_BYTES } from "./join.ts";
import type { TerminalConsumer } from "./types.ts";

/** How long a page may be out of sight before its stream is closed. */
export const HIDDEN_TIMEOUT_MS = 30_000;

/** Tells when the page has been hidden for so long, and when it is back after that. */
export function watchVisibility(onChange: (isHidden: boolean) => void): () => void {
  if (typeof document === "undefined") return () => undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isHidden = false;
  const look = () => {
    clearTimeout(timer);
    if (document.visibilityState === "hidden") {
      timer = setTimeout(() => {
        isHidden = true;
        onChange(true);
      }, HIDDEN_TIMEOUT_MS);
    } else if (isHidden) {
      isHidden = false;
      onChange(false);
    }
  };
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", look);
  };
}

/** True if a consumer missed so much that its last screen is the better way back. */
export async function isFarBehind(
  context: JoinContext,
  consumer: TerminalConsumer,
  signal: AbortSignal,
): Promise<boolean> {
  const node = context.view.node(consumer.nodeRef);
  if (node === undefined || consumer.isEnded) return false;
  try {
    const bytes = await bytesOf(context, node, signal);
    return bytes - consumer.position > WHOLE_LIMIT_BYTES;
  } catch {
    // Whoever cannot be asked is caught up with; that tries again by itself.
    return false;
  }
}
