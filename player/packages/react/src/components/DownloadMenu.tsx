import type { MouseEvent } from "react";
import type { CastFilters, RunNode } from "../api/types.ts";
import type { RunSource } from "../stream/source.ts";
import { DownloadIcon } from "./icons.tsx";

const FORMATS: readonly { label: string; extension: string; filters: CastFilters }[] = [
  { label: "Recording (asciicast v3)", extension: "cast", filters: { format: "cast", version: 3 } },
  { label: "Recording (asciicast v2)", extension: "cast", filters: { format: "cast", version: 2 } },
  { label: "Text", extension: "txt", filters: { format: "txt" } },
  { label: "Exact bytes", extension: "raw", filters: { format: "raw" } },
];

interface DownloadMenuProps {
  source: RunSource;
  node: RunNode | undefined;
  onDownload: () => void;
}

/** The recording as a file. */
export function DownloadMenu({ source, node, onDownload }: DownloadMenuProps) {
  const isEmpty = node === undefined || node.streams.length === 0;
  if (isEmpty) return null;
  const { client, runId } = source;
  const download = (event: MouseEvent<HTMLAnchorElement>, filters: CastFilters, name: string) => {
    event.currentTarget.closest("details")?.removeAttribute("open");
    onDownload();
    if (!client.usesToken) return;
    // A link cannot carry the token.
    event.preventDefault();
    void client.cast(runId, node.ref, filters).then((response) => saveAs(response, name));
  };
  return (
    <details className="rc-menu">
      <summary className="rc-button" aria-label="Download" title="Download">
        <DownloadIcon />
      </summary>
      <div className="rc-menu-items">
        {FORMATS.map(({ label, extension, filters }) => {
          const name = `${runId}-${node.ref}.${extension}`;
          return (
            <a
              key={label}
              href={client.castUrl(runId, node.ref, filters)}
              download={name}
              onClick={(event) => download(event, filters, name)}
            >
              {label}
            </a>
          );
        })}
      </div>
    </details>
  );
}

/** How long the browser may take to begin with a file. */
const KEEP_MS = 60_000;

async function saveAs(response: Response, name: string): Promise<void> {
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), KEEP_MS);
}
