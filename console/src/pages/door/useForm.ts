import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { type Field, type Refusal, refusals } from "./problems";

/** Sending a form of the door: whether it is on its way, and what was wrong, field by field. */
export function useForm(signingUp: boolean) {
  const { t } = useTranslation("door");
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<Refusal[]>([]);
  useEffect(() => {
    // The keyboard goes where something has to be changed.
    if (wrong.length) document.querySelector<HTMLInputElement>("form [aria-invalid=true]")?.focus();
  }, [wrong]);
  const words = (one: Refusal) =>
    one.key === undefined ? one.detail : one.key === "slow" ? t("slow", { count: one.count ?? 1 }) : t(one.key);
  const send = async (work: () => Promise<void>) => {
    setBusy(true);
    setWrong([]);
    try {
      await work();
    } catch (error) {
      setWrong(refusals(error, signingUp));
      setBusy(false);
    }
  };
  const found = wrong.find((one) => one.field === undefined);
  return {
    busy,
    send,
    /** What is wrong with the whole. */
    failure: found && words(found),
    of: (field: Field) => {
      const mine = wrong.find((one) => one.field === field);
      return mine && words(mine);
    },
  };
}
