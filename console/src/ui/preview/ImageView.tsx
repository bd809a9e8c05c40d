/** An image on a chequered ground; small ones are drawn large with sharp pixels. */
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Schemas } from "@/api/client";
import classes from "./Preview.module.css";

const SMALL = 128;
const SHOWN_AS = 320;

/** How many times its size an image is drawn: whole times for small ones. */
export function enlarged(width: number, height: number): number {
  const most = Math.max(width, height);
  return most >= SMALL || most < 1 ? 1 : Math.floor(SHOWN_AS / most);
}

export function ImageView({ image, src, name }: { image: Schemas["ImagePreview"]; src: string | null; name: string }) {
  const { t } = useTranslation("preview");
  const [broken, setBroken] = useState(false);
  const times = enlarged(image.width, image.height);
  return (
    <div className={classes.media}>
      {image.shown && src && !broken && (
        <img
          key={src}
          src={src}
          alt={name}
          width={image.width * times}
          height={image.height * times}
          className={classes.image}
          data-sharp={times > 1 || undefined}
          onError={() => setBroken(true)}
        />
      )}
      {broken && <p className={classes.note}>{t("image.broken")}</p>}
      <p className={classes.note}>
        {[image.format.toUpperCase(), t("image.pixels", { width: image.width, height: image.height }), times > 1 ? t("image.times", { times }) : ""]
          .filter(Boolean)
          .join(" · ")}
      </p>
    </div>
  );
}
