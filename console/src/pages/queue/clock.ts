/** A moment of today as its time alone, any other with its day: `14:32`, `Mar 2, 14:32`. */
export function clock(iso: string, language: string, now = new Date()): string {
  const moment = new Date(iso);
  const today = moment.toDateString() === now.toDateString();
  const shown = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
  return new Intl.DateTimeFormat(language, today ? shown : { ...shown, month: "short", day: "numeric" }).format(moment);
}
