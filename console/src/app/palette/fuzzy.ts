/** How well words of a search fit a text: each word as it is, at best at the start of a word, else letter by letter. */

export interface Fit {
  score: number;
  /** Positions of the text that fit, to be marked. */
  marks: number[];
}

const isStart = (text: string, at: number) => at === 0 || /[\s/_.:@-]/.test(text[at - 1]!);

function whole(word: string, text: string): Fit | null {
  let best = -1;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    if (best < 0) best = at;
    if (isStart(text, at)) {
      best = at;
      break;
    }
  }
  if (best < 0) return null;
  const score = 60 + (isStart(text, best) ? 30 : 0) + (best === 0 ? 10 : 0) + (20 * word.length) / text.length;
  return { score, marks: Array.from(word, (_, i) => best + i) };
}

/** Its letters in order; those at starts of words, and side by side, count more. */
function letters(word: string, text: string): Fit | null {
  const marks: number[] = [];
  let from = 0;
  for (const letter of word) {
    let at = text.indexOf(letter, from);
    if (at < 0) return null;
    if (at !== from || from === 0) {
      for (let start = at; start >= 0; start = text.indexOf(letter, start + 1)) {
        if (isStart(text, start)) {
          const rest = word.slice(marks.length + 1);
          if (inOrder(rest, text, start + 1)) at = start;
          break;
        }
      }
    }
    marks.push(at);
    from = at + 1;
  }
  const starts = marks.filter((at) => isStart(text, at)).length;
  const beside = marks.filter((at, i) => i > 0 && at === marks[i - 1]! + 1).length;
  const spread = marks.at(-1)! - marks[0]! + 1;
  const score = 10 + (25 * (starts + beside)) / word.length - spread / 4;
  return starts + beside >= word.length / 2 ? { score, marks } : null;
}

function inOrder(word: string, text: string, from: number): boolean {
  for (const letter of word) {
    const at = text.indexOf(letter, from);
    if (at < 0) return false;
    from = at + 1;
  }
  return true;
}

/** The fit of a search, or null. `also` are words that count as the text's, but less, and are not marked. */
export function fit(search: string, text: string, also = ""): Fit | null {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const lower = text.toLowerCase();
  const marks = new Set<number>();
  let score = 0;
  for (const word of words) {
    const found = whole(word, lower) ?? letters(word, lower);
    if (found) {
      score += found.score;
      for (const mark of found.marks) marks.add(mark);
      continue;
    }
    const beside = whole(word, also.toLowerCase());
    if (!beside) return null;
    score += beside.score / 2;
  }
  return { score: words.length ? score / words.length : 0, marks: [...marks].sort((a, b) => a - b) };
}

export interface Ranked<T> {
  item: T;
  marks: number[];
}

/** Those that fit, the best first; without a search all of them as they are. */
export function ranked<T extends { label: string; keywords?: string }>(search: string, items: readonly T[]): Ranked<T>[] {
  if (!search.trim()) return items.map((item) => ({ item, marks: [] }));
  return items
    .map((item, order) => ({ item, order, found: fit(search, item.label, item.keywords) }))
    .filter((one): one is typeof one & { found: Fit } => one.found !== null)
    .sort((a, b) => b.found.score - a.found.score || a.order - b.order)
    .map(({ item, found }) => ({ item, marks: found.marks }));
}
