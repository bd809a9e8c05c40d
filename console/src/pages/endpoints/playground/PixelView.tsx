/** The pixels as the model gets them, enlarged: white is the largest value. */
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import type { Planes } from "./pixels";
import classes from "./Playground.module.css";

export function PixelView({ image, width, height, invert }: { image: Planes | null; width: number; height: number; invert: boolean }) {
  const { t } = useTranslation("endpoints");
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const pixels = context.createImageData(width, height);
    for (let at = 0; at < width * height; at += 1) {
      for (let plane = 0; plane < 3; plane += 1) {
        const value = image?.planes[Math.min(plane, image.planes.length - 1)]?.[at] ?? 0;
        pixels.data[4 * at + plane] = Math.round(255 * (invert ? 1 - value : value));
      }
      pixels.data[4 * at + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
  }, [image, width, height, invert]);
  return (
    <figure className={classes.seen}>
      <canvas ref={canvas} width={width} height={height} role="img" aria-label={t("pixels.label", { width, height })} />
      <figcaption>{t("pixels.caption", { width, height })}</figcaption>
    </figure>
  );
}
