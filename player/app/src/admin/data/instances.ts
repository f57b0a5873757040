import type { AdminInstance, AdminInstances } from "@runcast/react";

/** An instance that has not told of itself for so long may be gone. */
const MAY_BE_GONE_SECS = 30;

/**
 * Which instance is shown: the wanted one if it is known, else the one that was shown before, else the one that
 * answered. The one that answers may be another each time.
 */
export function chooseInstance(
  list: AdminInstances,
  wanted: string | undefined,
  before: string | undefined,
): string {
  const isKnown = (id: string | undefined): id is string => list.instances.some((row) => row.id === id);
  if (isKnown(wanted)) return wanted;
  return isKnown(before) && !mayBeGone(rowOf(list, before)) ? before : list.instance;
}

export function rowOf(list: AdminInstances, id: string): AdminInstance | undefined {
  return list.instances.find((row) => row.id === id);
}

export function mayBeGone(row: AdminInstance | undefined): boolean {
  return row === undefined || row.unseenSecs > MAY_BE_GONE_SECS;
}

/** What people call it. */
export function nameOf(row: AdminInstance): string {
  return row.name ?? row.id;
}
