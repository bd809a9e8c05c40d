/** What the server said of an end: a sentence, and below it lines of the log where some came along. */
import classes from "./jobs.module.css";

export function Message({ text, soft = false }: { text: string; soft?: boolean }) {
  const [sentence, ...lines] = text.trimEnd().split("\n");
  return (
    <div className={soft ? "n-soft" : undefined}>
      {sentence}
      {lines.length > 0 && <pre className={classes.logLines}>{lines.join("\n")}</pre>}
    </div>
  );
}
