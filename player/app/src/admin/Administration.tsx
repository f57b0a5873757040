import { useMemo, useState } from "react";
import { AdminContext } from "./data/AdminContext";
import { useInstances } from "./data/useInstances";
import { InstanceView } from "./InstanceView";
import type { AdminLink } from "./link";

/** One instance of the service, as its operators see it. */
export function Administration({ link }: { link: AdminLink }) {
  const [isPaused, setIsPaused] = useState(false);
  const { list, isOther, instance, asked, elsewhere, isReady } = useInstances(link.instance, isPaused);
  const view = useMemo(
    () => ({ instance, asked, elsewhere, isReady, isPaused }),
    [instance, asked, elsewhere, isReady, isPaused],
  );
  return (
    <AdminContext value={view}>
      <InstanceView link={link} list={list} isOther={isOther} onPause={setIsPaused} />
    </AdminContext>
  );
}
