import type { RecordingIndex } from "../api/types.ts";
import type { PlaybackState, Player, Tick } from "../playback/types.ts";
import { formatTime } from "./format.ts";
import { PauseIcon, PlayIcon, ReplayIcon, StepBackIcon, StepForwardIcon } from "./icons.tsx";
import { SPEEDS } from "./shortcuts.ts";
import { Timeline } from "./Timeline.tsx";

/** Pauses of output are cut to this when the switch is on. */
const IDLE_LIMIT_MS = 2_000;

interface PlaybackBarProps {
  player: Player;
  playback: PlaybackState;
  index: RecordingIndex | undefined;
  ticks: readonly Tick[];
}

/** Timeline and buttons of a console. */
export function PlaybackBar({ player, playback, index, ticks }: PlaybackBarProps) {
  const { phase, positionMs, durationMs, speed, idleLimitMs, isGrowing } = playback;
  const isLive = phase === "live";
  const isEmpty = durationMs === 0;
  return (
    <div className="rc-playback">
      <PlayButton player={player} playback={playback} isEmpty={isEmpty} />
      <button
        type="button"
        className="rc-button rc-step"
        aria-label="Output before"
        title="Output before (,)"
        disabled={isEmpty}
        onClick={() => player.stepBackward()}
      >
        <StepBackIcon />
      </button>
      <button
        type="button"
        className="rc-button rc-step"
        aria-label="Next output"
        title="Next output (.)"
        disabled={isEmpty || isLive || phase === "ended"}
        onClick={() => player.stepForward()}
      >
        <StepForwardIcon />
      </button>
      <span className="rc-time">
        <span className="rc-time-now">{formatTime(positionMs)}</span>
        <span className="rc-time-end"> / {formatTime(durationMs)}</span>
      </span>
      <Timeline playback={playback} index={index} ticks={ticks} onSeek={(atMs) => player.seekTo(atMs)} />
      {isGrowing && (
        <button
          type="button"
          className="rc-button rc-live"
          aria-pressed={isLive}
          title="To the live end (l)"
          onClick={() => player.jumpToLive()}
        >
          <span className="rc-live-dot" />
          Live
        </button>
      )}
      <select
        className="rc-select rc-speed"
        aria-label="Speed"
        title="Speed (< >)"
        value={speed}
        onChange={(event) => player.setSpeed(Number(event.target.value))}
      >
        {speedsWith(speed).map((each) => (
          <option key={each} value={each}>
            {each}×
          </option>
        ))}
      </select>
      <button
        type="button"
        className="rc-button rc-idle"
        aria-pressed={idleLimitMs !== null}
        title={`Cut pauses to ${IDLE_LIMIT_MS / 1_000} s`}
        onClick={() => player.setIdleLimit(idleLimitMs === null ? IDLE_LIMIT_MS : null)}
      >
        Skip idle
      </button>
    </div>
  );
}

function PlayButton({
  player,
  playback,
  isEmpty,
}: {
  player: Player;
  playback: PlaybackState;
  isEmpty: boolean;
}) {
  const { phase, isPlayWanted } = playback;
  const isRunning = phase === "playing" || phase === "live" || isPlayWanted;
  const label = isRunning ? "Pause" : phase === "ended" ? "Play from the beginning" : "Play";
  return (
    <button
      type="button"
      className="rc-button rc-play"
      aria-label={label}
      title={`${label} (space)`}
      disabled={isEmpty}
      onClick={() => player.toggle()}
    >
      {isRunning ? <PauseIcon /> : phase === "ended" ? <ReplayIcon /> : <PlayIcon />}
    </button>
  );
}

function speedsWith(speed: number): number[] {
  return [...new Set([...SPEEDS, speed])].sort((one, other) => one - other);
}
