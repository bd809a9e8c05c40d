/** Two panes beside each other, with a border between them that can be moved by hand or by keys. */
import { type PointerEvent, type ReactNode, useRef } from "react";
import { useTranslation } from "react-i18next";
import { useLocalStorage } from "@mantine/hooks";
import classes from "./RunsPage.module.css";

const LEAST = 260;

export function Split({ left, right }: { left: ReactNode; right: ReactNode }) {
  const { t } = useTranslation("runs");
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useLocalStorage({ key: "nacre.runs.split", defaultValue: 440, getInitialValueInEffect: false });
  const most = () => Math.max(LEAST, (box.current?.clientWidth ?? 1200) - LEAST);
  const move = (to: number) => setWidth(Math.round(Math.min(most(), Math.max(LEAST, to))));
  const drag = (event: PointerEvent<HTMLDivElement>) => {
    if (event.buttons !== 1 || !box.current) return;
    move(event.clientX - box.current.getBoundingClientRect().left - 6);
  };
  return (
    <div ref={box} className={classes.split} style={{ gridTemplateColumns: `minmax(${LEAST}px, ${width}px) 12px minmax(${LEAST}px, 1fr)` }}>
      <div className={classes.pane}>{left}</div>
      {/* A separator that can be moved is a control: it takes the focus and hears keys. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        role="separator"
        aria-orientation="vertical"
        aria-label={t("layout.divider")}
        aria-valuenow={width}
        aria-valuemin={LEAST}
        // A separator that can be moved takes the focus.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        className={classes.divider}
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={drag}
        onKeyDown={(event) => {
          const by = { ArrowLeft: -24, ArrowRight: 24 }[event.key];
          if (by) move(width + by);
        }}
      />
      <div className={classes.pane}>{right}</div>
    </div>
  );
}
