import type { ReactNode } from "react";
import { Link } from "wouter";
import { formatDeepLink } from "../run/deepLink";
import { useSession } from "../session/SessionGate";
import classes from "./admin.module.css";

interface RunLinkProps {
  tenant: string;
  runId: string;
  children: ReactNode;
}

/** Leads to the run, if it is of the caller's tenant; others do not exist to this login. */
export function RunLink({ tenant, runId, children }: RunLinkProps) {
  const own = useSession()?.tenant;
  if (tenant !== own) {
    return (
      <span className="mono" title={`This login opens runs of the tenant ${own} alone`}>
        {children} <span className={classes.foreign}>tenant {tenant}</span>
      </span>
    );
  }
  return (
    <Link className={`mono ${classes.link}`} href={formatDeepLink({ runId })}>
      {children}
    </Link>
  );
}
