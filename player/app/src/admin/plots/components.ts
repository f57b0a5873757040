/** What takes memory: its name for people and its colour. */
import { wordsOf } from "../../format/format";

const COMPONENTS: Record<string, { label: string; colour: string; hint: string }> = {
  terminalBuffers: {
    label: "Terminal buffers",
    colour: "--series-1",
    hint: "Output that was read and is not in the log yet",
  },
  logTail: { label: "Log tail", colour: "--series-2", hint: "The newest entries of the logs of runs" },
  brokerWindows: { label: "Broker windows", colour: "--series-3", hint: "Encoded events for viewers" },
  archiveBuffers: {
    label: "Archive buffers",
    colour: "--series-4",
    hint: "Decoded pieces of recordings that stay in memory",
  },
  screens: { label: "Screens", colour: "--series-5", hint: "Keyframes of the screens of runs" },
  sessions: { label: "Sessions", colour: "--series-6", hint: "Output and screens of interactive terminals" },
  clients: { label: "Clients", colour: "--series-7", hint: "Connections, 75 KiB each" },
  unaccounted: {
    label: "Unaccounted",
    colour: "--series-rest",
    hint: "The rest: code, stacks, caches, what the allocator keeps",
  },
};

export interface Component {
  readonly name: string;
  readonly label: string;
  /** The name of a token. */
  readonly colour: string;
  readonly hint: string;
}

/** One that is not known yet has its own name, and a colour by it. */
export function componentOf(name: string): Component {
  const known = COMPONENTS[name];
  if (known !== undefined) return { name, ...known };
  const sum = [...name].reduce((all, letter) => all + letter.charCodeAt(0), 0);
  return { name, label: wordsOf(name), colour: `--series-${1 + (sum % 7)}`, hint: wordsOf(name) };
}
