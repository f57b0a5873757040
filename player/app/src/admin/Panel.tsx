import { type ReactNode, useId } from "react";
import classes from "./admin.module.css";

interface PanelProps {
  title: string;
  /** Beside the title: how much it is, in short. */
  fact?: ReactNode;
  /** At the right end of the head. */
  tools?: ReactNode;
  children: ReactNode;
}

/** A part of a section with its heading. */
export function Panel({ title, fact, tools, children }: PanelProps) {
  const id = useId();
  return (
    <section className={classes.panel} aria-labelledby={id}>
      <header className={classes.panelHead}>
        <h2 id={id} className={classes.panelTitle}>
          {title}
        </h2>
        {fact !== undefined && <span className={`numbers ${classes.fact}`}>{fact}</span>}
        {tools !== undefined && <div className={classes.panelTools}>{tools}</div>}
      </header>
      {children}
    </section>
  );
}
