import { plural } from "../../format/format";
import { readStreams } from "../data/requests";
import { PAGE_ROWS, usePages } from "../data/usePages";
import { usePoll } from "../data/usePoll";
import { useRates } from "../data/useRates";
import { Panel } from "../Panel";
import { TroubleBanner } from "../TroubleBanner";
import { Pager } from "../table/Pager";
import { StreamTable } from "./StreamTable";

/** Those who watch runs at the moment. */
export function StreamsSection() {
  const pages = usePages();
  const { cursor } = pages;
  const streams = usePoll({
    key: ["streams", cursor],
    read: (asked) => readStreams(asked, { limit: PAGE_ROWS, cursor }),
  });
  const { data } = streams;
  const rates = useRates(
    streams.updatedAt,
    () => new Map(data?.streams.map(({ id, bytesSent }) => [String(id), bytesSent])),
  );
  return (
    <>
      <TroubleBanner trouble={streams.trouble} />
      {data && (
        <Panel title="Viewers" fact={plural(data.total, "stream")}>
          <StreamTable streams={data.streams} rates={rates} isBusy={streams.isLoading} />
          <Pager pages={pages} nextCursor={data.nextCursor} isLoading={streams.isLoading} />
        </Panel>
      )}
    </>
  );
}
