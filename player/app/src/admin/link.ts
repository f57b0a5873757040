/** The address of the administration: `/admin/SECTION?instance=ID&range=RANGE`. */
export const SECTIONS = ["overview", "sessions", "actors", "streams"] as const;
export type Section = (typeof SECTIONS)[number];

export const SECTION_NAMES: Record<Section, string> = {
  overview: "Overview",
  sessions: "Sessions",
  actors: "Actors",
  streams: "Streams",
};

/** How far back the plot of the memory goes: as the service takes it, and in milliseconds. */
export const RANGES = { "15m": 900_000, "1h": 3_600_000, "6h": 21_600_000, "24h": 86_400_000 } as const;
export type Range = keyof typeof RANGES;
const FIRST_RANGE: Range = "1h";

export interface AdminLink {
  readonly section: Section;
  /** The instance that is looked at; undefined: the one that answers. */
  readonly instance: string | undefined;
  readonly range: Range;
}

const ROOT = "/admin";

/** Reads an address; undefined if it leads nowhere. */
export function parseAdminLink(path: string, search: string): AdminLink | undefined {
  const name = path.slice(ROOT.length).replaceAll("/", "");
  const section = name === "" ? "overview" : SECTIONS.find((known) => known === name);
  if (section === undefined) return undefined;
  const query = new URLSearchParams(search);
  const range = query.get("range") ?? "";
  return {
    section,
    instance: query.get("instance") || undefined,
    range: isRange(range) ? range : FIRST_RANGE,
  };
}

/** Writes it; what is as in the beginning is left out. */
export function adminLink({ section, instance, range }: AdminLink): string {
  const query = new URLSearchParams();
  if (instance !== undefined) query.set("instance", instance);
  if (range !== FIRST_RANGE) query.set("range", range);
  const path = section === "overview" ? ROOT : `${ROOT}/${section}`;
  return query.size === 0 ? path : `${path}?${query}`;
}

export function isRange(text: string): text is Range {
  return Object.hasOwn(RANGES, text);
}
