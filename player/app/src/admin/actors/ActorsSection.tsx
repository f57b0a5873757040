import type { AdminActors } from "@runcast/react";
import { plural } from "../../format/format";
import { readActors } from "../data/requests";
import { PAGE_ROWS, usePages } from "../data/usePages";
import { usePoll } from "../data/usePoll";
import { useRates } from "../data/useRates";
import { Panel } from "../Panel";
import { TroubleBanner } from "../TroubleBanner";
import { Pager } from "../table/Pager";
import { ActorTable } from "./ActorTable";
import { KindTable } from "./KindTable";
import { RunTrees } from "./RunTrees";

/** The actors of the instance: by kind, its own, and those of its runs. */
export function ActorsSection() {
  const pages = usePages();
  const { cursor } = pages;
  const actors = usePoll({
    key: ["actors", cursor],
    read: (asked) => readActors(asked, { limit: PAGE_ROWS, cursor }),
  });
  const { data } = actors;
  const rates = useRates(
    actors.updatedAt,
    () => new Map(data?.kinds.map(({ kind, messages }) => [kind, messages])),
  );
  if (data === undefined) return <TroubleBanner trouble={actors.trouble} />;
  return (
    <>
      <TroubleBanner trouble={actors.trouble} />
      <Panel title="By kind" fact={totalsOf(data)}>
        <KindTable kinds={data.kinds} rates={rates} />
      </Panel>
      <Panel title="Of the service" fact={plural(data.service.length, "actor")}>
        <ActorTable label="Actors of the service" actors={data.service} />
      </Panel>
      <Panel title="Of runs" fact={data.runs.length === 0 ? undefined : plural(data.runs.length, "run")}>
        <RunTrees runs={data.runs} />
        <Pager pages={pages} nextCursor={data.nextCursor} isLoading={actors.isLoading} />
      </Panel>
    </>
  );
}

function totalsOf({ kinds }: AdminActors): string {
  const instances = kinds.reduce((sum, kind) => sum + kind.instances, 0);
  const restarts = kinds.reduce((sum, kind) => sum + kind.restarts, 0);
  return `${plural(instances, "actor")} · ${plural(restarts, "restart")}`;
}
