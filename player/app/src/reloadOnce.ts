const KEY = "runcast-reloaded-at";
/** One that fails again so soon is not mended by another try. */
const AGAIN_MS = 10_000;

/** Reloads the page unless that was tried just now; tells whether it does. */
export function reloadOnce(storage: Storage, nowMs: number, reload: () => void): boolean {
  const lastMs = Number(storage.getItem(KEY) ?? Number.NEGATIVE_INFINITY);
  if (nowMs - lastMs < AGAIN_MS) return false;
  storage.setItem(KEY, String(nowMs));
  reload();
  return true;
}
