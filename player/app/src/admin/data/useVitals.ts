import type { AdminMemory, AdminMemoryFigures, AdminStats } from "@runcast/react";
import { useEffect, useSyncExternalStore } from "react";
import { useAdmin } from "./AdminContext";
import { Gathered, type Point } from "./gathered";
import { readMemory, readStats } from "./requests";
import { usePoll } from "./usePoll";
import type { Polled } from "./usePolling";

/** What flows, at a moment of this browser's clock. */
export interface FlowPoint extends Point {
  readonly bytesPerSecond: number;
  readonly archiveBacklogBytes: number;
  readonly viewers: number;
}

/** What memory is taken, at a moment of the service's clock. */
export interface MemoryPoint extends Point {
  readonly figures: AdminMemoryFigures;
}

export interface Vitals {
  stats: Polled<AdminStats>;
  memory: Polled<AdminMemory>;
}

// They outlive the page of the administration, not the tab.
const flows = new Gathered<FlowPoint>();
const memories = new Gathered<MemoryPoint>();

/** The figures of the instance, and they are gathered. */
export function useVitals(): Vitals {
  const { instance } = useAdmin();
  const stats = usePoll({ key: ["stats"], read: readStats });
  const memory = usePoll({ key: ["memory"], read: (asked) => readMemory(asked) });
  const { data: flow, updatedAt } = stats;
  const { data: figures } = memory;
  useEffect(() => {
    if (flow === undefined || updatedAt === 0) return;
    const { bytesPerSecond, archiveBacklogBytes, viewers } = flow.streams;
    flows.add(instance, { at: updatedAt, bytesPerSecond, archiveBacklogBytes, viewers });
  }, [instance, flow, updatedAt]);
  useEffect(() => {
    if (figures !== undefined) memories.add(instance, { at: Date.parse(figures.at), figures });
  }, [instance, figures]);
  return { stats, memory };
}

export function useFlowPoints(): readonly FlowPoint[] {
  return usePoints(flows);
}

export function useMemoryPoints(): readonly MemoryPoint[] {
  return usePoints(memories);
}

function usePoints<T extends Point>(gathered: Gathered<T>): readonly T[] {
  const { instance } = useAdmin();
  return useSyncExternalStore(gathered.subscribe, () => gathered.of(instance));
}
