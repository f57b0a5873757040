import type { ReactNode } from "react";
import classes from "./table.module.css";

/** A name and a value, in little room. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <span className={classes.fact}>
      <span className={classes.factName}>{name}</span> {children}
    </span>
  );
}

/** Several of them. */
export function Facts({ children }: { children: ReactNode }) {
  return <span className={`numbers ${classes.facts}`}>{children}</span>;
}
