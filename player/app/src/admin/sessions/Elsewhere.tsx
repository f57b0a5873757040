import classes from "../admin.module.css";
import { adminLink } from "../link";

/** Says that a session is on an instance that this page cannot change, and leads there. */
export function Elsewhere({ base, does }: { base: string; does: string }) {
  const address = `${base.replace(/\/+$/, "")}${adminLink({ section: "sessions", instance: undefined, range: "1h" })}`;
  return (
    <p role="alert">
      It lives on another instance. Open{" "}
      <a className={classes.link} href={address} target="_blank" rel="noopener noreferrer">
        that one
      </a>{" "}
      to {does}.
    </p>
  );
}
