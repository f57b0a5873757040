import classes from "./shell.module.css";

/** The sign and the name. */
export function Wordmark() {
  return (
    <span className={classes.wordmark}>
      <svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="#16130c" stroke="#4a3a15" />
        <g fill="none" stroke="#ffb224" strokeLinecap="round" strokeLinejoin="round">
          <path d="M8 9.5 14.5 16 8 22.5" strokeWidth="3.2" />
          <path d="M18 22.5h3" strokeWidth="3.2" />
          <path d="M19.5 9.5a6.5 6.5 0 0 1 5 6.3" strokeWidth="2.4" strokeOpacity="0.75" />
        </g>
      </svg>
      Runcast
    </span>
  );
}
