/** How people draw the ten digits, in a square of 100: what tests draw. */
import type { Stroke } from "./ink";

function arc(cx: number, cy: number, rx: number, ry: number, from: number, to: number, steps = 24): [number, number][] {
  return Array.from({ length: steps + 1 }, (_, at) => {
    const angle = ((from + ((to - from) * at) / steps) * Math.PI) / 180;
    return [cx + rx * Math.cos(angle), cy + ry * Math.sin(angle)];
  });
}

/** Angles grow clockwise, as y grows downwards; 0 is at the right. */
export const DIGITS: Record<number, Stroke[][]> = {
  0: [[arc(50, 50, 24, 36, -90, 270)], [arc(50, 50, 30, 34, -60, 300)]],
  1: [[[[36, 30], [52, 14], [52, 86]]], [[[50, 12], [50, 88]]]],
  2: [
    [[...arc(50, 34, 22, 20, -170, 30), [30, 84], [74, 84]]],
    [[...arc(48, 32, 20, 18, -190, 40), [44, 66], [28, 86], [76, 84]]],
  ],
  3: [
    [[...arc(46, 32, 22, 18, -150, 90), ...arc(46, 68, 24, 18, -90, 150)]],
    [[...arc(48, 33, 18, 17, -140, 80), ...arc(46, 67, 22, 20, -80, 140)]],
  ],
  4: [
    [[[58, 14], [26, 60], [78, 60]], [[60, 34], [60, 88]]],
    [[[32, 14], [28, 52], [70, 52]], [[68, 14], [66, 88]]],
  ],
  5: [
    [[[72, 16], [34, 16], [31, 46], ...arc(48, 64, 23, 21, -120, 140)]],
    [[[36, 16], [34, 46], ...arc(47, 65, 22, 20, -115, 130)], [[36, 16], [70, 15]]],
  ],
  6: [
    [[[62, 14], [42, 36], [32, 60], ...arc(50, 66, 19, 19, 180, -180)]],
    [[...arc(66, 50, 34, 38, -100, -180), ...arc(51, 68, 19, 18, 180, -170)]],
  ],
  7: [[[[26, 18], [74, 18], [44, 86]]], [[[28, 20], [72, 18], [56, 50], [46, 88]], [[38, 52], [68, 52]]]],
  8: [
    [[...arc(50, 32, 18, 17, 90, 450), ...arc(50, 67, 22, 18, -90, -450)]],
    [[...arc(50, 32, 17, 16, -20, -270), ...arc(50, 67, 20, 19, -90, 250), ...arc(50, 32, 17, 16, 80, -30)]],
  ],
  9: [
    [[...arc(50, 34, 19, 19, 0, -360), [69, 34], [66, 60], [58, 86]]],
    [[...arc(49, 35, 20, 19, -20, -340), [68, 28], [68, 86]]],
  ],
};

/** Numbers from 0 to 1 that are the same each time. */
export function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** A digit as another hand draws it: slanted, stretched, shaky, of another size at another place. */
export function handwritten(strokes: Stroke[], random: () => number): Stroke[] {
  const [slant, wide, high] = [(random() - 0.5) * 0.4, 0.8 + random() * 0.4, 0.85 + random() * 0.3];
  const [size, left, top] = [0.6 + random() * 1.8, random() * 60, random() * 60];
  const phase = random() * 6;
  return strokes.map((stroke) =>
    stroke.map(([x, y], at) => {
      const shake = 1.2 * Math.sin(at * 0.9 + phase);
      return [((x - 50) * wide - (y - 50) * slant + 50 + shake) * size + left, ((y - 50) * high + 50 - shake) * size + top] as const;
    }),
  );
}
