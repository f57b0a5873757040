import { ActionIcon, Menu, Tooltip } from "@mantine/core";
import type { CastFilters, RunNode } from "@runcast/react";
import { Binary, Clapperboard, Download, FileText } from "lucide-react";
import { client, telemetry } from "../../service";
import type { StreamName } from "../deepLink";

const FORMATS: { label: string; icon: typeof Download; filters: CastFilters }[] = [
  { label: "asciicast v3 (.cast)", icon: Clapperboard, filters: { format: "cast", version: 3 } },
  { label: "asciicast v2 (.cast)", icon: Clapperboard, filters: { format: "cast", version: 2 } },
  { label: "Text (.txt)", icon: FileText, filters: { format: "txt" } },
  { label: "Exact bytes (raw)", icon: Binary, filters: { format: "raw" } },
];

interface DownloadMenuProps {
  runId: string;
  node: RunNode;
  /** One stream of a node with pipes; else all. */
  stream: StreamName | undefined;
}

/** The recording so far, in every format there is: plain links, so that the browser streams them to disk. */
export function DownloadMenu({ runId, node, stream }: DownloadMenuProps) {
  return (
    <Menu position="bottom-end" width={220}>
      <Tooltip label="Download">
        <span>
          <Menu.Target>
            <ActionIcon aria-label="Download the recording">
              <Download size={15} />
            </ActionIcon>
          </Menu.Target>
        </span>
      </Tooltip>
      <Menu.Dropdown>
        <Menu.Label>
          {stream ? `Only ${stream}` : node.terminal.mode === "pipe" ? "Both streams" : "Recording"}
        </Menu.Label>
        {FORMATS.map(({ label, icon: Icon, filters }) => (
          <Menu.Item
            key={label}
            component="a"
            href={client.castUrl(runId, node.ref, { ...filters, ...(stream !== undefined && { stream }) })}
            download
            leftSection={<Icon size={14} />}
            onClick={() => telemetry.count("cast_downloaded")}
          >
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
