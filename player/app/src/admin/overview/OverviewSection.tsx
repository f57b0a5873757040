import type { Vitals } from "../data/useVitals";
import type { AdminLink, Range } from "../link";
import { FlowPanels } from "./FlowPanels";
import { figuresOf } from "./figures";
import { MemoryPanel } from "./MemoryPanel";
import { Tiles } from "./Tiles";

interface OverviewSectionProps {
  vitals: Vitals;
  link: AdminLink;
  onRange: (range: Range) => void;
}

/** How the instance is: figures, memory, flow. */
export function OverviewSection({ vitals, link, onRange }: OverviewSectionProps) {
  const memory = vitals.memory.data;
  return (
    <>
      <Tiles figures={figuresOf(vitals.stats.data, memory)} link={link} />
      <MemoryPanel report={memory} range={link.range} onRange={onRange} />
      <FlowPanels />
    </>
  );
}
