import type { RunStream } from "@runcast/react";

/** What the badge of the connection says. */
export interface ConnectionLook {
  readonly tone: "good" | "busy" | "bad" | "quiet";
  readonly label: string;
  readonly text: string;
}

type Known = Pick<RunStream, "connection" | "transport" | "retryAtMs">;

export function describeConnection({ connection, transport, retryAtMs }: Known, now: number): ConnectionLook {
  switch (connection) {
    case "connecting":
      return { tone: "busy", label: "Connecting", text: "The stream of this run is being opened." };
    case "live":
      return transport === "poll"
        ? {
            tone: "good",
            label: "Polling",
            text: "Streams do not get through to this browser, probably because of a proxy. The page asks for news instead; nothing is lost.",
          }
        : { tone: "good", label: "Live", text: "Everything the run does arrives here at once." };
    case "reconnecting": {
      const seconds = Math.max(0, Math.ceil(((retryAtMs ?? now) - now) / 1000));
      return {
        tone: "busy",
        label: seconds > 0 ? `Reconnecting in ${seconds}s` : "Reconnecting",
        text: "The connection was cut. It resumes where it stopped: nothing is lost or shown twice.",
      };
    }
    case "ended":
      return { tone: "quiet", label: "Ended", text: "The run has ended, and everything was received." };
    case "failed":
      return { tone: "bad", label: "Disconnected", text: "The stream of this run is closed." };
  }
}
