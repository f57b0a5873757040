import { formatCount } from "../../format/format";
import classes from "./actors.module.css";

/** How often something was restarted: what stands out is any at all. */
export function Restarts({ count }: { count: number }) {
  return (
    <span className={classes.restarts} data-some={count > 0 || undefined}>
      {formatCount(count)}
    </span>
  );
}
