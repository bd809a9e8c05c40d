/** The instance types as a choice of one: what each has, and what an hour of it costs. */
import { UnstyledButton } from "@mantine/core";
import { useRef } from "react";
import { useTranslation } from "react-i18next";
import { bytes, price } from "@/ui/format";
import type { InstanceType } from "./instance";
import classes from "./instances.module.css";

interface Props {
  types: InstanceType[];
  value: string;
  onChange: (name: string) => void;
}

export function TypeCards({ types, value, onChange }: Props) {
  const { t } = useTranslation("instances");
  const group = useRef<HTMLDivElement>(null);
  const usable = types.filter((one) => one.available !== false);
  const step = (by: number) => {
    const at = usable.findIndex((one) => one.name === value);
    const next = usable[(at + by + usable.length) % usable.length];
    if (!next) return;
    onChange(next.name);
    group.current?.querySelector<HTMLElement>(`[data-name="${next.name}"]`)?.focus();
  };
  return (
    <div
      ref={group}
      role="radiogroup"
      aria-label={t("create.type")}
      className={classes.types}
      tabIndex={-1}
      onKeyDown={(event) => {
        const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        step(by);
      }}
    >
      {types.map((one) => {
        const off = one.available === false;
        const chosen = one.name === value;
        return (
          <UnstyledButton
            key={one.name}
            role="radio"
            aria-checked={chosen}
            data-name={one.name}
            disabled={off}
            tabIndex={chosen ? 0 : -1}
            className={classes.type}
            onClick={() => onChange(one.name)}
          >
            <span className={classes.typeName}>{one.name}</span>
            <span>
              {t("create.cpu", { count: one.cpu })} · {bytes(one.memory)}
            </span>
            {Boolean(one.gpu) && (
              <span>
                {one.gpu} × {one.gpu_name ?? "GPU"}
              </span>
            )}
            <span className={classes.typePrice}>{t("common:perHour", { price: price(one.price_per_hour, one.currency) })}</span>
            {off && <span className={classes.typeOff}>{t("create.notHere")}</span>}
          </UnstyledButton>
        );
      })}
    </div>
  );
}
