/** A picture from a file, brought to the model's size. */
import { Button, FileButton, Group, NumberInput, Switch } from "@mantine/core";
import { IconPhotoUp } from "@tabler/icons-react";
import { type DragEvent, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { tellError } from "@/ui/notify";
import { normalised } from "./ink";
import { PixelView } from "./PixelView";
import { greyOf, ofGrey, type Planes } from "./pixels";
import classes from "./Playground.module.css";
import type { ImageShape } from "./signature";

interface Props {
  image: ImageShape;
  invert: boolean;
  onSize: (size: { width: number; height: number }) => void;
  onImage: (image: Planes | null) => void;
}

/** Dark writing on paper is turned round, cut out and centred as the digits of the data are. */
const DIGITS_UP_TO = 64;
const LARGEST = 4096;

export function ImageInput({ image, invert, onSize, onImage }: Props) {
  const { t } = useTranslation("endpoints");
  const [file, setFile] = useState<File | null>(null);
  const [planes, setPlanes] = useState<Planes | null>(null);
  const small = image.channels === 1 && Math.max(image.width, image.height) <= DIGITS_UP_TO;
  const [centred, setCentred] = useState(true);
  const told = useRef(onImage);
  useEffect(() => {
    told.current = onImage;
  });
  const { width, height, channels } = image;
  useEffect(() => {
    let stale = false;
    if (file) {
      read(file, { width, height, channels }, small && centred).then((found) => {
        if (stale) return;
        setPlanes(found);
        told.current(found);
      }, tellError);
    } else told.current(null);
    return () => {
      stale = true;
    };
  }, [file, width, height, channels, small, centred]);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    const dropped = event.dataTransfer.files[0];
    if (dropped) setFile(dropped);
  };
  return (
    <div className={classes.pads}>
      <div className={classes.drop} onDragOver={(event) => event.preventDefault()} onDrop={drop}>
        <FileButton onChange={setFile} accept="image/*" inputProps={{ "aria-label": t("image.choose") }}>
          {(props) => (
            <Button {...props} variant="default" leftSection={<IconPhotoUp size={14} />}>
              {t("image.choose")}
            </Button>
          )}
        </FileButton>
        <p className={classes.help}>{file ? file.name : t("image.drop")}</p>
        {small && <Switch label={t("image.centre")} checked={centred} onChange={(event) => setCentred(event.currentTarget.checked)} />}
        {image.open && (
          <Group gap="sm" align="flex-end">
            <NumberInput label={t("image.width")} value={width} min={1} max={LARGEST} onChange={(value) => typeof value === "number" && value >= 1 && onSize({ width: value, height })} w={96} />
            <NumberInput label={t("image.height")} value={height} min={1} max={LARGEST} onChange={(value) => typeof value === "number" && value >= 1 && onSize({ width, height: value })} w={96} />
          </Group>
        )}
      </div>
      {planes && planes.width === width && planes.height === height && <PixelView image={planes} width={width} height={height} invert={invert} />}
    </div>
  );
}

async function read(file: File, size: { width: number; height: number; channels: 1 | 3 }, centred: boolean): Promise<Planes> {
  const source = await createImageBitmap(file, { imageOrientation: "from-image" });
  try {
    if (!centred) {
      const found = pixelsOf(source, size.width, size.height);
      return size.channels === 1 ? ofGrey(greyOf(found)) : found;
    }
    const scale = Math.min(1, 512 / Math.max(source.width, source.height));
    const grey = greyOf(pixelsOf(source, Math.max(1, Math.round(source.width * scale)), Math.max(1, Math.round(source.height * scale))));
    const edge = edgeOf(grey.values, grey.width, grey.height);
    const values = edge > 0.5 ? grey.values.map((value) => Math.max(0, edge - value) / edge) : grey.values;
    return ofGrey(normalised({ ...grey, values }, size.width, size.height));
  } finally {
    source.close();
  }
}

/** Halved until it is less than twice too large: one step to a small size would leave out most pixels. */
function pixelsOf(source: ImageBitmap, width: number, height: number): Planes {
  let from: CanvasImageSource = source;
  let [w, h] = [source.width, source.height];
  for (;;) {
    const [nextWidth, nextHeight] = [Math.max(width, Math.ceil(w / 2)), Math.max(height, Math.ceil(h / 2))];
    const last = nextWidth === width && nextHeight === height;
    const canvas = new OffscreenCanvas(last ? width : nextWidth, last ? height : nextHeight);
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    context.imageSmoothingQuality = "high";
    context.fillStyle = "white"; // what is transparent lies on paper
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(from, 0, 0, canvas.width, canvas.height);
    if (last) {
      const { data } = context.getImageData(0, 0, width, height);
      const planes = [0, 1, 2].map((plane) => Float32Array.from({ length: width * height }, (_, at) => data[4 * at + plane]! / 255));
      return { width, height, planes };
    }
    from = canvas;
    [w, h] = [canvas.width, canvas.height];
  }
}

/** How bright the paper is: the median along the edges. */
function edgeOf(values: Float32Array, width: number, height: number): number {
  const edge: number[] = [];
  for (let x = 0; x < width; x += 1) edge.push(values[x]!, values[(height - 1) * width + x]!);
  for (let y = 0; y < height; y += 1) edge.push(values[y * width]!, values[y * width + width - 1]!);
  edge.sort((a, b) => a - b);
  return edge[Math.floor(edge.length / 2)]!;
}
