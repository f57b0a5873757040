/** A piece of a line; all pieces together are the line. */
export interface LinePart {
  /** Where it begins. */
  readonly at: number;
  readonly text: string;
  readonly isHit: boolean;
}

/** The most that is shown of a line, and of hits in it. */
const MOST_CHARACTERS = 400;
const MOST_MARKS = 50;

/** Cuts a line at what was found. An expression that only the service understands marks nothing. */
export function markHits(line: string, query: string, isRegex: boolean): LinePart[] {
  const pattern = patternOf(query, isRegex);
  const start = firstShown(line, pattern);
  const text = line.slice(start, start + MOST_CHARACTERS);
  const parts: LinePart[] = [];
  let from = 0;
  for (const match of pattern ? text.matchAll(pattern) : []) {
    if (match[0] === "" || parts.length >= MOST_MARKS) break;
    if (match.index > from) parts.push({ at: from, text: text.slice(from, match.index), isHit: false });
    parts.push({ at: match.index, text: match[0], isHit: true });
    from = match.index + match[0].length;
  }
  if (from < text.length) parts.push({ at: from, text: text.slice(from), isHit: false });
  return parts;
}

/** The query as an expression of the browser; undefined if it is none. */
export function patternOf(query: string, isRegex: boolean): RegExp | undefined {
  if (query === "") return undefined;
  try {
    return new RegExp(isRegex ? query : query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gu");
  } catch {
    return undefined;
  }
}

/** A long line is shown from a little before its first hit. */
function firstShown(line: string, pattern: RegExp | undefined): number {
  if (line.length <= MOST_CHARACTERS || !pattern) return 0;
  const first = line.search(pattern);
  return first < MOST_CHARACTERS / 2 ? 0 : first - 40;
}
