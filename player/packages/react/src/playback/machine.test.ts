import { describe, expect, it } from "vitest";
import { INITIAL_PLAYBACK, type PlaybackEvent, transition } from "./machine.ts";
import type { PlaybackPhase, PlaybackState } from "./types.ts";

function at(phase: PlaybackPhase, more: Partial<PlaybackState> = {}): PlaybackState {
  return { ...INITIAL_PLAYBACK, phase, positionMs: 400, durationMs: 1_000, ...more };
}

const growing = { isGrowing: true };
const wanted = { isPlayWanted: true };

/** phase, event → phase, effects; every cell that does something. */
const table: [string, PlaybackState, PlaybackEvent, PlaybackPhase, string[]][] = [
  ["opens at what is live", at("idle", growing), { type: "open" }, "live", ["showLive"]],
  ["opens at the end", at("idle"), { type: "open" }, "ended", ["showLive"]],
  ["opens at a place", at("idle"), { type: "open", atMs: 70 }, "seeking", ["seek"]],
  [
    "live ends with the node",
    at("live", growing),
    { type: "measured", durationMs: 2_000, isGrowing: false },
    "ended",
    [],
  ],
  [
    "what was taken for ended grows",
    at("ended"),
    { type: "measured", durationMs: 2_000, isGrowing: true },
    "live",
    [],
  ],
  [
    "the past of an ended node is paused",
    at("rewound", growing),
    { type: "measured", durationMs: 2_000, isGrowing: false },
    "paused",
    [],
  ],
  [
    "rewinding leaves live and plays",
    at("live", growing),
    { type: "seek", atMs: 70 },
    "seeking",
    ["stopClock", "hideLive", "seek"],
  ],
  [
    "pausing live stands at the edge",
    at("live", growing),
    { type: "pause" },
    "seeking",
    ["hideLive", "seek"],
  ],
  ["live has nothing ahead", at("live", growing), { type: "step", direction: 1 }, "live", []],
  ["arrives and plays", at("seeking", wanted), { type: "arrived", atMs: 70 }, "playing", ["startClock"]],
  ["arrives and stands", at("seeking"), { type: "arrived", atMs: 70 }, "paused", []],
  ["arrives and stands in the past", at("seeking", growing), { type: "arrived", atMs: 70 }, "rewound", []],
  ["plays", at("paused"), { type: "play" }, "playing", ["startClock"]],
  ["plays on in the past", at("rewound", growing), { type: "toggle" }, "playing", ["startClock"]],
  ["pauses", at("playing", wanted), { type: "pause" }, "paused", ["stopClock"]],
  [
    "pauses in the past",
    at("playing", { ...wanted, ...growing }),
    { type: "toggle" },
    "rewound",
    ["stopClock"],
  ],
  ["waits for a page", at("playing", wanted), { type: "starved" }, "loading", ["stopClock"]],
  ["goes on with the page", at("loading", wanted), { type: "fed" }, "playing", ["startClock"]],
  ["has nothing to wait for", at("loading", wanted), { type: "reachedEnd" }, "ended", ["stopClock"]],
  ["was paused at the end meanwhile", at("loading"), { type: "reachedEnd" }, "paused", []],
  [
    "plays from the place that a failed seek missed",
    at("paused", { error: "away" }),
    { type: "play" },
    "seeking",
    ["stopClock", "hideLive", "seek"],
  ],
  ["was paused meanwhile", at("loading"), { type: "fed" }, "paused", []],
  ["comes to the end", at("playing", wanted), { type: "reachedEnd" }, "ended", ["stopClock"]],
  [
    "comes to what is live",
    at("playing", { ...wanted, ...growing }),
    { type: "reachedEnd" },
    "live",
    ["stopClock", "showLive"],
  ],
  ["jumps to live", at("rewound", growing), { type: "jumpToLive" }, "live", ["showLive"]],
  ["jumps to the end", at("playing", wanted), { type: "jumpToLive" }, "ended", ["stopClock", "showLive"]],
  [
    "plays again from the beginning",
    at("ended"),
    { type: "play" },
    "seeking",
    ["stopClock", "hideLive", "seek"],
  ],
  [
    "seeking to the end shows it all",
    at("paused"),
    { type: "seek", atMs: 5_000 },
    "ended",
    ["stopClock", "showLive"],
  ],
  [
    "a newer seek replaces an older",
    at("seeking"),
    { type: "seek", atMs: 70 },
    "seeking",
    ["stopClock", "hideLive", "seek"],
  ],
  [
    "steps from playing and stands",
    at("playing", wanted),
    { type: "step", direction: -1 },
    "seeking",
    ["stopClock", "hideLive", "step"],
  ],
  ["fails and stands", at("seeking", wanted), { type: "failed", message: "away" }, "paused", []],
  [
    "fails while playing",
    at("playing", wanted),
    { type: "failed", message: "away" },
    "paused",
    ["stopClock"],
  ],
];

describe("the table", () => {
  it.each(table)("%s", (_name, state, event, phase, effects) => {
    const [next, done] = transition(state, event);
    expect(next.phase).toBe(phase);
    expect(done.map((effect) => effect.type)).toEqual(effects);
  });

  it.each<[PlaybackPhase, PlaybackEvent]>([
    ["idle", { type: "play" }],
    ["idle", { type: "seek", atMs: 1 }],
    ["paused", { type: "tick", atMs: 1 }],
    ["paused", { type: "arrived", atMs: 1 }],
    ["live", { type: "tick", atMs: 1 }],
    ["ended", { type: "reachedEnd" }],
    ["playing", { type: "play" }],
  ])("%s takes no notice of what does not concern it", (phase, event) => {
    const state = at(phase);
    expect(transition(state, event)).toEqual([state, []]);
  });
});

describe("values", () => {
  it("keeps a seek inside the recording", () => {
    expect(transition(at("paused"), { type: "seek", atMs: -5 })[0].positionMs).toBe(0);
  });

  it.each([
    [0.1, 0.5],
    [3, 3],
    [100, 16],
  ])("speed %f is %f", (speed, allowed) => {
    expect(transition(at("playing"), { type: "setSpeed", speed })[0].speed).toBe(allowed);
  });

  it("play wanted while it seeks is remembered, and unwanted again", () => {
    const [playing] = transition(at("seeking"), { type: "play" });
    expect(playing.isPlayWanted).toBe(true);
    expect(transition(playing, { type: "toggle" })[0].isPlayWanted).toBe(false);
  });

  it("a failure is told until something else is done", () => {
    const [failed] = transition(at("seeking"), { type: "failed", message: "away" });
    expect(failed.error).toBe("away");
    expect(transition(failed, { type: "play" })[0].error).toBeUndefined();
  });

  it("the position of what is live is its end", () => {
    const [state] = transition(at("live", growing), { type: "measured", durationMs: 2_500, isGrowing: true });
    expect(state).toMatchObject({ positionMs: 2_500, durationMs: 2_500 });
  });
});
