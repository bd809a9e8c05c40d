/** A square to draw in, by mouse, pen or finger; beside it what the model sees. */
import { Button, Group } from "@mantine/core";
import { IconArrowBackUp, IconEraser } from "@tabler/icons-react";
import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { drawn, type Point, type Stroke } from "./ink";
import { PixelView } from "./PixelView";
import { ofGrey, type Planes } from "./pixels";
import classes from "./Playground.module.css";
import type { ImageShape } from "./signature";

/** Of the coordinates that strokes are kept in; the square on the screen may be smaller. */
const SIDE = 280;
const PEN = 22;

interface Props {
  image: ImageShape;
  invert: boolean;
  /** Null: nothing is drawn. Told when a stroke ends. */
  onImage: (image: Planes | null) => void;
}

export function DrawPad({ image, invert, onImage }: Props) {
  const { t } = useTranslation("endpoints");
  const canvas = useRef<HTMLCanvasElement>(null);
  const current = useRef<Point[] | null>(null);
  const [strokes, setStrokes] = useState<Stroke[]>([]);
  const { width, height } = image;
  const told = useRef(onImage);
  useEffect(() => {
    told.current = onImage;
  });
  useEffect(() => {
    paint(canvas.current, strokes);
    told.current(strokes.length ? ofGrey(drawn(strokes, width, height)) : null);
  }, [strokes, width, height]);
  useEffect(() => {
    // The ink has the colour of the theme's text: drawn again when the theme changes.
    const repaint = new MutationObserver(() => paint(canvas.current, strokes));
    repaint.observe(document.documentElement, { attributes: true, attributeFilter: ["data-mantine-color-scheme"] });
    return () => repaint.disconnect();
  }, [strokes]);

  const point = (event: { clientX: number; clientY: number }): Point => {
    const box = canvas.current!.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  };
  const begin = (event: PointerEvent) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    current.current = [point(event)];
    paint(canvas.current, [...strokes, current.current]);
  };
  const go = (event: PointerEvent) => {
    if (!current.current) return;
    for (const one of event.nativeEvent.getCoalescedEvents?.() ?? []) current.current.push(point(one));
    current.current.push(point(event));
    paint(canvas.current, [...strokes, current.current]);
  };
  const end = () => {
    if (!current.current) return;
    const stroke = current.current;
    current.current = null;
    setStrokes((before) => [...before, stroke]);
  };
  const clear = () => setStrokes([]);
  const undo = () => setStrokes((before) => before.slice(0, -1));
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" || event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      clear();
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      undo();
    }
  };
  return (
    <div className={classes.pads}>
      <div className={classes.drawing}>
        {/* The pointer draws; the keys clear and take back. What cannot be drawn by keys can be typed: the tabs beside. */}
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
        <div
          role="application"
          aria-label={t("draw.label")}
          aria-describedby="draw-help"
          // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
          tabIndex={0}
          className={classes.pad}
          onKeyDown={onKeyDown}
        >
          <canvas
            ref={canvas}
            width={2 * SIDE}
            height={2 * SIDE}
            data-testid="draw"
            onPointerDown={begin}
            onPointerMove={go}
            onPointerUp={end}
            onPointerCancel={end}
          />
          {strokes.length === 0 && <span className={classes.hint}>{t("draw.hint")}</span>}
        </div>
        <Group gap="sm" mt={8}>
          <Button variant="default" leftSection={<IconEraser size={14} />} onClick={clear} disabled={!strokes.length}>
            {t("draw.clear")}
          </Button>
          <Button variant="default" leftSection={<IconArrowBackUp size={14} />} onClick={undo} disabled={!strokes.length}>
            {t("draw.undo")}
          </Button>
        </Group>
        <p id="draw-help" className={classes.help} style={{ marginTop: 8 }}>
          {t("draw.help")}
        </p>
      </div>
      <PixelView image={strokes.length ? ofGrey(drawn(strokes, width, height)) : null} width={width} height={height} invert={invert} />
    </div>
  );
}

function paint(canvas: HTMLCanvasElement | null, strokes: readonly Stroke[]): void {
  const context = canvas?.getContext("2d");
  if (!canvas || !context) return;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.strokeStyle = getComputedStyle(canvas).color;
  context.fillStyle = context.strokeStyle;
  context.lineCap = "round";
  context.lineJoin = "round";
  context.lineWidth = 2 * PEN;
  for (const stroke of strokes) {
    context.beginPath();
    const [first, ...rest] = stroke;
    if (!first) continue;
    if (!rest.length) {
      context.arc(2 * first[0], 2 * first[1], PEN, 0, 2 * Math.PI);
      context.fill();
      continue;
    }
    context.moveTo(2 * first[0], 2 * first[1]);
    for (const [x, y] of rest) context.lineTo(2 * x, 2 * y);
    context.stroke();
  }
}
