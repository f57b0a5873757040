import { type MouseEvent, useState } from "react";
import type { CastFilters, RunNode } from "../api/types.ts";
import type { RunSource } from "../stream/source.ts";
import { DownloadIcon, WarningIcon } from "./icons.tsx";

const FORMATS: readonly { label: string; extension: string; filters: CastFilters }[] = [
  { label: "Recording (asciicast v3)", extension: "cast", filters: { format: "cast", version: 3 } },
  { label: "Recording (asciicast v2)", extension: "cast", filters: { format: "cast", version: 2 } },
  { label: "Text", extension: "txt", filters: { format: "txt" } },
  { label: "Exact bytes", extension: "raw", filters: { format: "raw" } },
];

/** Life of the token in an address: the browser asks at once. */
const TOKEN_SECS = 60;

interface DownloadMenuProps {
  source: RunSource;
  node: RunNode | undefined;
  onDownload: () => void;
  onFailure: () => void;
}

/** The recording as a file, which the browser streams to the disk. */
export function DownloadMenu({ source, node, onDownload, onFailure }: DownloadMenuProps) {
  const [problem, setProblem] = useState<string>();
  const isEmpty = node === undefined || node.streams.length === 0;
  if (isEmpty) return null;
  const { client, runId } = source;
  const followWithToken = async (filters: CastFilters, name: string) => {
    try {
      const request = { runId, scopes: ["runs:read" as const], ttlSecs: TOKEN_SECS };
      const { token } = await client.createToken(request);
      follow(client.castUrl(runId, node.ref, filters, token), name);
      setProblem(undefined);
      onDownload();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
      onFailure();
    }
  };
  const download = (event: MouseEvent<HTMLAnchorElement>, filters: CastFilters, name: string) => {
    event.currentTarget.closest("details")?.removeAttribute("open");
    if (!client.usesToken) {
      onDownload();
      return;
    }
    // The link itself cannot carry the page's token.
    event.preventDefault();
    void followWithToken(filters, name);
  };
  return (
    <>
      {problem !== undefined && (
        <span className="rc-note" data-kind="warning" role="alert" title={problem}>
          <WarningIcon />
          No download: {problem}
        </span>
      )}
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
    </>
  );
}

/** As a click on a link; what is no file, as a refusal of another origin, does not take the place of the page. */
function follow(url: string, name: string): void {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.click();
}
