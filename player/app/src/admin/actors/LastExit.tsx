import classes from "./actors.module.css";
import { isFault } from "./facts";

/** How the last one ended. */
export function LastExit({ status }: { status: string | null | undefined }) {
  if (status == null) return <span className={classes.faint}>–</span>;
  return (
    <span className={classes.exit} data-fault={isFault(status) || undefined} title={status}>
      {status}
    </span>
  );
}
