import { Button, Menu } from "@mantine/core";
import type { TerminalList } from "@runcast/react";
import { ChevronDown, Plus } from "lucide-react";

interface NewTerminalProps {
  types: TerminalList["types"];
  isOpening: boolean;
  onOpen: (type: string) => void;
}

/** Opens a terminal: with one click the first type that is installed, with two any. */
export function NewTerminal({ types, isOpening, onOpen }: NewTerminalProps) {
  const first = types.find(({ type }) => type === "system") ?? types.find(({ installed }) => installed);
  return (
    <Button.Group>
      <Button
        leftSection={<Plus size={14} />}
        loading={isOpening}
        disabled={first === undefined}
        onClick={() => first && onOpen(first.type)}
      >
        New terminal
      </Button>
      <Menu position="bottom-end">
        <Menu.Target>
          <Button aria-label="Other types" px={6}>
            <ChevronDown size={14} />
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {types.map(({ type, installed }) => (
            <Menu.Item key={type} disabled={!installed} onClick={() => onOpen(type)}>
              {type}
              {!installed && " (not installed)"}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    </Button.Group>
  );
}
