import { markHits } from "./markHits";
import classes from "./search.module.css";

/** A line with what was found in it. */
export function HitText({ text, query, isRegex }: { text: string; query: string; isRegex: boolean }) {
  return (
    <span className={`mono ${classes.text}`}>
      {markHits(text, query, isRegex).map((part) =>
        part.isHit ? <mark key={part.at}>{part.text}</mark> : <span key={part.at}>{part.text}</span>,
      )}
    </span>
  );
}
