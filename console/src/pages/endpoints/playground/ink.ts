/**
 * Strokes of a pen to the small grey images that digit models are trained on. Pure: no canvas.
 *
 * A drawing is normalised before it becomes pixels: its strokes are scaled so that they fill the box that the
 * training data fills, and only then drawn, with a pen as wide as that of the data. So it does not matter how
 * large, where and with which line somebody draws.
 */

export type Point = readonly [x: number, y: number];
export type Stroke = readonly Point[];

/** Rows of an image, 0 (paper) to 1 (ink), row after row. */
export interface Grey {
  width: number;
  height: number;
  values: Float32Array;
}

/** How the data was made that a model of this size was trained on; lengths in pixels of the result. */
export interface Style {
  /** The box that the strokes are scaled into. */
  boxWidth: number;
  boxHeight: number;
  /** Whether all fill the height, however wide they are: what is too wide is pressed together. */
  tall: boolean;
  /** How much of the slant of the writing is taken away: 0 to 1. */
  upright: number;
  /** Width of the pen; with `ink` the one that makes the image that dark in the mean. */
  pen: number;
  ink: number | null;
  /** The share of a pixel's ink that runs to each of its neighbours. */
  soft: number;
  /** What lies in the middle: the centre of mass, or that of the box. */
  centre: "mass" | "box";
}

const FINE = 4;
const PEN_STEPS = 8;

/**
 * Styles by size, as measured of the data: scikit-learn's digits (8 × 8) all are 8 rows high, 5 columns wide mostly
 * and 30 % ink, whatever the digit, and slant little; MNIST's (28 × 28) lie in a box of 20 with a pen of one width.
 * Other sizes are as MNIST in proportion.
 */
export function styleOf(width: number, height: number): Style {
  const least = Math.min(width, height);
  if (least <= 10) return { boxWidth: width * 0.625, boxHeight: height, tall: true, upright: 0.5, pen: 0.2 * least, ink: 0.3, soft: 0.1, centre: "box" };
  const share = least / 28;
  return { boxWidth: 20 * share, boxHeight: 20 * share, tall: false, upright: 0, pen: 2.6 * share, ink: null, soft: 0, centre: "mass" };
}

export function bounds(strokes: readonly Stroke[]): { left: number; top: number; right: number; bottom: number } | null {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const stroke of strokes) {
    for (const [x, y] of stroke) {
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  return left <= right ? { left, top, right, bottom } : null;
}

/** The drawing as a model of `width` × `height` saw digits in training. Nothing drawn is an empty image. */
export function drawn(strokes: readonly Stroke[], width: number, height: number, style: Style = styleOf(width, height)): Grey {
  const straight = style.upright ? uprighted(strokes, style.upright) : strokes;
  const box = bounds(straight);
  if (!box) return { width, height, values: new Float32Array(width * height) };
  const draw = (pen: number) => softened(placed(straight, box, width, height, { ...style, pen }), style.soft);
  if (style.ink === null) return draw(style.pen);
  let [thin, thick] = [style.pen / 3, style.pen * 3];
  for (let step = 0; step < PEN_STEPS; step += 1) {
    const pen = (thin + thick) / 2;
    if (mean(draw(pen)) < style.ink) thin = pen;
    else thick = pen;
  }
  return draw((thin + thick) / 2);
}

type Box = NonNullable<ReturnType<typeof bounds>>;

function placed(strokes: readonly Stroke[], box: Box, width: number, height: number, style: Style): Grey {
  const [scaleX, scaleY] = scales(box.right - box.left, box.bottom - box.top, style, style.pen);
  const middle: Point = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const at = (dx: number, dy: number) =>
    strokes.map((stroke) =>
      stroke.map(([x, y]): Point => [(x - middle[0]) * scaleX + width / 2 + dx, (y - middle[1]) * scaleY + height / 2 + dy]),
    );
  const image = rasterised(at(0, 0), width, height, style.pen);
  if (style.centre === "box") return image;
  const mass = centreOfMass(image);
  return mass ? rasterised(at(width / 2 - mass[0], height / 2 - mass[1]), width, height, style.pen) : image;
}

function softened({ width, height, values }: Grey, share: number): Grey {
  if (!share) return { width, height, values };
  const along = (from: Float32Array, step: number, place: (at: number) => number, room: number) =>
    from.map((value, at) => {
      const before = place(at) > 0 ? from[at - step]! : 0;
      const after = place(at) < room - 1 ? from[at + step]! : 0;
      return (1 - 2 * share) * value + share * (before + after);
    });
  const across = along(values, 1, (at) => at % width, width);
  return { width, height, values: along(across, width, (at) => Math.floor(at / width), height) };
}

const STEEPEST = 0.7;

/** The strokes sheared so that `share` of their slant is gone. */
export function uprighted(strokes: readonly Stroke[], share: number): Stroke[] {
  const pieces = strokes.flatMap((stroke) =>
    stroke.slice(1).map(([x, y], at) => {
      const [fromX, fromY] = stroke[at]!;
      const [dx, dy] = [x - fromX, y - fromY];
      return { x: fromX + dx / 2, y: fromY + dy / 2, dx, dy, length: Math.hypot(dx, dy) };
    }),
  );
  const total = (value: (piece: (typeof pieces)[0]) => number) => pieces.reduce((sum, piece) => sum + piece.length * value(piece), 0);
  const length = total(() => 1);
  if (!length) return [...strokes];
  const [middleX, middleY] = [total((piece) => piece.x) / length, total((piece) => piece.y) / length];
  // Of a piece itself, its length is spread evenly: a twelfth of its square.
  const high = total((piece) => (piece.y - middleY) ** 2 + piece.dy ** 2 / 12);
  const slant = high ? total((piece) => (piece.x - middleX) * (piece.y - middleY) + (piece.dx * piece.dy) / 12) / high : 0;
  const shear = share * Math.min(STEEPEST, Math.max(-STEEPEST, slant));
  return strokes.map((stroke) => stroke.map(([x, y]): Point => [x - shear * (y - middleY), y]));
}

/** By how much a drawing is scaled across and down; `edge` is what it grows by at its sides: the pen. */
function scales(width: number, height: number, style: Style, edge: number): [number, number] {
  const fit = (room: number, size: number) => (size > 1e-6 ? (room - edge) / size : Number.POSITIVE_INFINITY);
  const [across, down] = [fit(style.boxWidth, width), fit(style.boxHeight, height)];
  const both = Math.min(across, down);
  if (!Number.isFinite(both)) return [1, 1];
  if (!style.tall || !Number.isFinite(down)) return [both, both];
  return [Math.min(across, down), down];
}

function mean(image: Grey): number {
  return image.values.reduce((sum, value) => sum + value, 0) / image.values.length;
}

/** Each pixel is the share of it that lies under the pen. */
export function rasterised(strokes: readonly Stroke[], width: number, height: number, pen: number): Grey {
  const fine = { width: width * FINE, height: height * FINE };
  const inked = new Uint8Array(fine.width * fine.height);
  const reach = (pen / 2) * FINE;
  for (const stroke of strokes) {
    const points = stroke.map(([x, y]): Point => [x * FINE, y * FINE]);
    for (let at = 0; at < points.length; at += 1) {
      if (at > 0 || points.length === 1) segment(inked, fine, points[Math.max(at - 1, 0)]!, points[at]!, reach);
    }
  }
  const values = new Float32Array(width * height);
  for (let y = 0; y < fine.height; y += 1) {
    for (let x = 0; x < fine.width; x += 1) {
      if (inked[y * fine.width + x]) values[Math.floor(y / FINE) * width + Math.floor(x / FINE)]! += 1 / (FINE * FINE);
    }
  }
  return { width, height, values };
}

/** Mark what lies within `reach` of a segment. */
function segment(inked: Uint8Array, size: { width: number; height: number }, a: Point, b: Point, reach: number): void {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length = dx * dx + dy * dy;
  const first = (value: number) => Math.max(0, Math.floor(value - reach));
  const last = (value: number, most: number) => Math.min(most - 1, Math.ceil(value + reach));
  const right = last(Math.max(a[0], b[0]), size.width);
  const bottom = last(Math.max(a[1], b[1]), size.height);
  for (let y = first(Math.min(a[1], b[1])); y <= bottom; y += 1) {
    for (let x = first(Math.min(a[0], b[0])); x <= right; x += 1) {
      const [px, py] = [x + 0.5 - a[0], y + 0.5 - a[1]];
      const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
      const [ox, oy] = [px - along * dx, py - along * dy];
      if (ox * ox + oy * oy <= reach * reach) inked[y * size.width + x] = 1;
    }
  }
}

/** Where the ink balances; null without any. */
export function centreOfMass(image: Grey): Point | null {
  let [sum, sumX, sumY] = [0, 0, 0];
  image.values.forEach((value, at) => {
    sum += value;
    sumX += value * ((at % image.width) + 0.5);
    sumY += value * (Math.floor(at / image.width) + 0.5);
  });
  return sum ? [sumX / sum, sumY / sum] : null;
}

/** Smaller or larger by the mean of the area under each new pixel. */
export function resized(image: Grey, width: number, height: number): Grey {
  const across = weights(image.width, width);
  const down = weights(image.height, height);
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let sum = 0;
      for (const [row, part] of down[y]!) for (const [column, share] of across[x]!) sum += part * share * image.values[row * image.width + column]!;
      values[y * width + x] = sum;
    }
  }
  return { width, height, values };
}

/** For each of `to` cells, the cells of `from` that it covers, with shares that add up to one. */
function weights(from: number, to: number): [number, number][][] {
  const step = from / to;
  return Array.from({ length: to }, (_, at) => {
    const [begin, end] = [at * step, (at + 1) * step];
    const found: [number, number][] = [];
    for (let cell = Math.floor(begin); cell < Math.min(from, Math.ceil(end - 1e-9)); cell += 1) {
      found.push([cell, (Math.min(end, cell + 1) - Math.max(begin, cell)) / step]);
    }
    return found;
  });
}

/** A photographed or scanned digit as `drawn` makes them: cut out, scaled into the box, put in the middle. */
export function normalised(image: Grey, width: number, height: number, style: Style = styleOf(width, height)): Grey {
  const threshold = 0.2 * image.values.reduce((most, value) => Math.max(most, value), 0);
  let [left, top, right, bottom] = [image.width, image.height, -1, -1];
  image.values.forEach((value, at) => {
    if (value <= threshold) return;
    const [x, y] = [at % image.width, Math.floor(at / image.width)];
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  });
  if (right < 0) return resized(image, width, height);
  const [cutWidth, cutHeight] = [right - left + 1, bottom - top + 1];
  const cut = new Float32Array(cutWidth * cutHeight);
  for (let y = 0; y < cutHeight; y += 1) for (let x = 0; x < cutWidth; x += 1) cut[y * cutWidth + x] = image.values[(top + y) * image.width + left + x]!;
  const [scaleX, scaleY] = scales(cutWidth, cutHeight, style, 0);
  const size = (length: number, scale: number) => Math.max(1, Math.round(length * scale));
  const small = resized({ width: cutWidth, height: cutHeight, values: cut }, size(cutWidth, scaleX), size(cutHeight, scaleY));
  const middle = style.centre === "mass" ? centreOfMass(small) : null;
  const [fromX, fromY] = middle ?? [small.width / 2, small.height / 2];
  const fit = (wanted: number, size: number, room: number) => Math.min(Math.max(Math.round(wanted), 0), Math.max(0, room - size));
  const [dx, dy] = [fit(width / 2 - fromX, small.width, width), fit(height / 2 - fromY, small.height, height)];
  const values = new Float32Array(width * height);
  for (let y = 0; y < Math.min(small.height, height); y += 1) {
    for (let x = 0; x < Math.min(small.width, width); x += 1) values[(y + dy) * width + x + dx] = small.values[y * small.width + x]!;
  }
  return { width, height, values };
}
