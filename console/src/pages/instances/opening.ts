/**
 * A page of another origin in a new tab, whose address the server tells only after the click.
 *
 * A browser opens tabs only while a click is handled: so an empty one at once, and its address when it is known.
 * `noopener` would give no handle on the tab; instead it forgets who opened it before it leads elsewhere.
 */

export type Opened =
  | { how: "opened" }
  /** The browser allows no new tabs here: the person has to follow the link. */
  | { how: "blocked"; url: string };

export async function openIn(
  address: () => Promise<string>,
  words: string,
  open: () => Window | null = () => window.open("about:blank", "_blank"),
): Promise<Opened> {
  const tab = open();
  if (tab) {
    tab.opener = null;
    say(tab, words);
  }
  let url: string;
  try {
    url = await address();
    if (!/^https?:\/\//.test(url)) throw new Error(url);
  } catch (error) {
    tab?.close();
    throw error;
  }
  if (!tab || tab.closed) return { how: "blocked", url };
  tab.location.replace(url);
  return { how: "opened" };
}

/** What the tab shows until then. */
function say(tab: Window, words: string): void {
  tab.document.title = words;
  const { body } = tab.document;
  const here = getComputedStyle(document.body);
  Object.assign(body.style, { margin: "20vh 24px", textAlign: "center", background: here.backgroundColor, color: here.color, font: here.font });
  body.textContent = words;
}
