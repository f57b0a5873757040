/** A place in the log of a run is its epoch, times this, and its number within it. */
const EPOCH = 2 ** 32;

/** `1,234`, and `e2 · 1,234` once the run has been taken over. */
export function formatSeq(seq: number): string {
  const epoch = Math.floor(seq / EPOCH);
  const number = (seq % EPOCH).toLocaleString("en");
  return epoch === 0 ? number : `e${epoch} · ${number}`;
}
