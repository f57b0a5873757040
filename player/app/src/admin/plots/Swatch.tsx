import type { CSSProperties } from "react";
import classes from "./plots.module.css";

/** The colour of a line or an area, beside its name. */
export function Swatch({ colour, kind }: { colour: string; kind: "area" | "line" | "limit" }) {
  const style = { "--swatch": `var(${colour})` } as CSSProperties;
  return <span className={classes.swatch} data-kind={kind} style={style} aria-hidden />;
}
