/** The period and the project, from the URL. */
import { useMemo } from "react";
import { useUrlState } from "@/ui/useUrlState";
import { dayOf, type Period, periodOf } from "./period";

export interface Asked extends Period {
  project: string;
  period: string;
  first: string;
  last: string;
}

export function useAsked(): Asked {
  const [period] = useUrlState("period", "month");
  const [first] = useUrlState("since");
  const [last] = useUrlState("until");
  const [project] = useUrlState("project");
  const today = dayOf(new Date());
  return useMemo(() => {
    const found = periodOf(period, new Date(`${today}T12:00:00Z`), first, last);
    return { ...found, project, period, first, last };
  }, [period, first, last, project, today]);
}
