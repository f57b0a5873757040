/** The address of the terminals: `/terminals/PROJECT?s=SESSION&readonly`. */
export interface TerminalsLink {
  project?: string | undefined;
  session?: string | undefined;
  readonly?: boolean;
}

const ROOT = "/terminals";

export function terminalsLink({ project, session, readonly = false }: TerminalsLink): string {
  const query = new URLSearchParams();
  if (session !== undefined) query.set("s", session);
  if (readonly) query.set("readonly", "");
  const text = query.toString().replace(/=(&|$)/g, "$1");
  return `${ROOT}${project === undefined ? "" : `/${encodeURIComponent(project)}`}${text === "" ? "" : `?${text}`}`;
}

export function parseTerminalsLink(path: string, search: string): TerminalsLink & { readonly: boolean } {
  const query = new URLSearchParams(search);
  const encoded = path.startsWith(`${ROOT}/`) ? path.slice(ROOT.length + 1).split("/")[0] : undefined;
  return {
    project: decode(encoded),
    session: query.get("s") ?? undefined,
    readonly: query.has("readonly"),
  };
}

function decode(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
