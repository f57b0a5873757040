import type { CSSProperties } from "react";
import { Link } from "wouter";
import type { AdminLink } from "../link";
import { adminLink } from "../link";
import type { Figure } from "./figures";
import classes from "./overview.module.css";

/** The key figures at a glance. */
export function Tiles({ figures, link }: { figures: readonly Figure[]; link: AdminLink }) {
  return (
    <dl className={classes.tiles} aria-label="Key figures">
      {figures.map((figure) => (
        <div
          key={figure.name}
          className={classes.tile}
          data-figure={figure.name}
          data-tone={figure.tone}
          data-linked={figure.section !== undefined || undefined}
        >
          <dt className={classes.label}>
            {figure.section === undefined ? (
              figure.label
            ) : (
              <Link href={adminLink({ ...link, section: figure.section })}>{figure.label}</Link>
            )}
          </dt>
          <dd className={`numbers ${classes.value}`}>{figure.value}</dd>
          {figure.meter && <Meter {...figure.meter} />}
          <dd className={`numbers ${classes.more}`}>{figure.more}</dd>
        </div>
      ))}
    </dl>
  );
}

/** How much of a limit is used. The figures beside it say the same in words. */
function Meter({ used, tight }: NonNullable<Figure["meter"]>) {
  const style = { "--used": `${used * 100}%`, "--tight": `${tight * 100}%` } as CSSProperties;
  return <dd className={classes.meter} style={style} aria-hidden />;
}
