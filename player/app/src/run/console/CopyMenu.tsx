import { ActionIcon, Menu, Tooltip } from "@mantine/core";
import type { RunConsoleHandle } from "@runcast/react";
import { Check, Copy, TextSelect } from "lucide-react";
import { useEffect, useState } from "react";

/** Copies what is selected, or all that the terminal holds. */
export function CopyMenu({ handle }: { handle: RunConsoleHandle | null }) {
  const [said, setSaid] = useState<string>();
  useEffect(() => {
    if (said === undefined) return;
    const timer = setTimeout(() => setSaid(undefined), 2_000);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async (what: "selection" | "all") => {
    if (!handle) return;
    const isCopied = what === "all" ? await handle.copyAll() : await handle.copySelection();
    setSaid(isCopied ? "Copied" : what === "all" ? "The browser refused to copy" : "Nothing is selected");
  };
  return (
    <Menu position="bottom-end" width={210}>
      <Tooltip label={said ?? "Copy"} {...(said !== undefined && { opened: true })}>
        <span>
          <Menu.Target>
            <ActionIcon aria-label="Copy output" disabled={!handle}>
              {said === "Copied" ? <Check size={15} /> : <Copy size={15} />}
            </ActionIcon>
          </Menu.Target>
          <span className="visually-hidden" role="status">
            {said}
          </span>
        </span>
      </Tooltip>
      <Menu.Dropdown>
        <Menu.Item leftSection={<TextSelect size={14} />} onClick={() => copy("selection")}>
          Copy selection
        </Menu.Item>
        <Menu.Item leftSection={<Copy size={14} />} onClick={() => copy("all")}>
          Copy everything here
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
