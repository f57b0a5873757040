import { useContext } from "react";
import { Prose } from "../format/Prose";
import { Banner } from "../shell/Banner";
import { PageTroubleContext } from "./data/AdminContext";
import { tellTrouble } from "./data/trouble";

/** What a part of the page lacks, unless the whole page lacks it. */
export function TroubleBanner({ trouble }: { trouble: unknown }) {
  const isToldAbove = useContext(PageTroubleContext);
  if (trouble === undefined || isToldAbove) return null;
  return (
    <Banner>
      <Prose text={tellTrouble(trouble)} />
    </Banner>
  );
}
