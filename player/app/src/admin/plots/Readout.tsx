import { readoutTime } from "./axes";
import classes from "./plots.module.css";
import { Swatch } from "./Swatch";

export interface ReadoutValue {
  label: string;
  colour: string;
  kind: "area" | "line";
  value: string;
}

/** The values of a moment. */
export function Readout({ time, values }: { time: number; values: readonly ReadoutValue[] }) {
  return (
    <>
      <span className={`numbers ${classes.moment}`}>{readoutTime(time)}</span>
      {values.map(({ label, colour, kind, value }) => (
        <span key={label} className={classes.value}>
          <Swatch colour={colour} kind={kind} />
          <span>{label}</span>
          <span className="numbers">{value}</span>
        </span>
      ))}
    </>
  );
}
