import type { AdminMemory } from "@runcast/react";
import { formatBytes } from "../../format/format";
import { Swatch } from "../plots/Swatch";
import { type MemoryView, RSS } from "./memoryView";
import classes from "./overview.module.css";

interface MemoryLegendProps {
  view: MemoryView;
  limits: AdminMemory["limits"];
  hidden: ReadonlySet<string>;
  onToggle: (name: string) => void;
}

/** What is in the plot, with its values, in the order of the stack. A click leaves one out. */
export function MemoryLegend({ view, limits, hidden, onToggle }: MemoryLegendProps) {
  return (
    <table className={`numbers ${classes.legend}`} aria-label="Memory by component">
      <thead>
        <tr>
          <th scope="col">Component</th>
          <th scope="col">Now</th>
          <th scope="col">Peak</th>
        </tr>
      </thead>
      <tbody>
        <LegendRow
          name={RSS}
          label="RSS"
          hint="The process in physical memory"
          colour="--text"
          kind="line"
          values={[view.rss.now, view.rss.peak]}
          isHidden={hidden.has(RSS)}
          onToggle={onToggle}
        />
        {view.rows.map(({ component, now, peak }) => (
          <LegendRow
            key={component.name}
            {...component}
            kind="area"
            values={[now, peak]}
            isHidden={hidden.has(component.name)}
            onToggle={onToggle}
          />
        ))}
      </tbody>
      <tbody>
        {(["soft", "hard"] as const).map((which) => (
          <tr key={which} className={classes.limit}>
            <th scope="row">
              <span className={classes.series}>
                <Swatch colour={which === "soft" ? "--accent-text" : "--status-failed"} kind="limit" />
                {which === "soft" ? "Soft limit" : "Hard limit"}
              </span>
            </th>
            <td>{formatBytes(limits[which])}</td>
            <td />
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface LegendRowProps {
  name: string;
  label: string;
  hint: string;
  colour: string;
  kind: "area" | "line";
  values: readonly [now: number, peak: number];
  isHidden: boolean;
  onToggle: (name: string) => void;
}

function LegendRow({ name, label, hint, colour, kind, values, isHidden, onToggle }: LegendRowProps) {
  return (
    <tr data-hidden={isHidden || undefined} data-series={name}>
      <th scope="row">
        <button
          type="button"
          className={classes.series}
          aria-pressed={!isHidden}
          title={hint}
          onClick={() => onToggle(name)}
        >
          <Swatch colour={colour} kind={kind} />
          {label}
        </button>
      </th>
      <td>{formatBytes(values[0])}</td>
      <td>{formatBytes(values[1])}</td>
    </tr>
  );
}
