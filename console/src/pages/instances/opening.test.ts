// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import { openIn } from "./opening";

function tabOf() {
  const replace = vi.fn();
  const close = vi.fn();
  const page = document.implementation.createHTMLDocument();
  const tab = { opener: window, closed: false, location: { replace }, close, document: page };
  return { tab, replace, close, window: tab as unknown as Window };
}

describe("openIn", () => {
  it("opens the tab at once, and leads it when the address is known", async () => {
    const one = tabOf();
    let answer: (url: string) => void = () => undefined;
    const open = vi.fn(() => one.window);
    const done = openIn(() => new Promise((resolve) => (answer = resolve)), "Opening lab", open);
    expect(open).toHaveBeenCalledOnce();
    expect(one.tab.opener).toBeNull();
    expect(one.tab.document.title).toBe("Opening lab");
    expect(one.replace).not.toHaveBeenCalled();
    answer("http://127.0.0.1:7374/instances/ins_1/_nacre/enter?ticket=x");
    expect(await done).toEqual({ how: "opened" });
    expect(one.replace).toHaveBeenCalledWith("http://127.0.0.1:7374/instances/ins_1/_nacre/enter?ticket=x");
  });

  it("closes the tab again when the server refuses", async () => {
    const one = tabOf();
    await expect(openIn(() => Promise.reject(new Error("it is stopped")), "", () => one.window)).rejects.toThrow("it is stopped");
    expect(one.close).toHaveBeenCalledOnce();
  });

  it("leads nowhere but to pages", async () => {
    const one = tabOf();
    await expect(openIn(() => Promise.resolve("javascript:alert(1)"), "", () => one.window)).rejects.toThrow();
    expect(one.replace).not.toHaveBeenCalled();
    expect(one.close).toHaveBeenCalledOnce();
  });

  it("gives the address where the browser opens no tab, or the person has closed it", async () => {
    const url = "https://work.example/x";
    expect(await openIn(() => Promise.resolve(url), "", () => null)).toEqual({ how: "blocked", url });
    const one = tabOf();
    const done = openIn(() => Promise.resolve(url), "", () => one.window);
    one.tab.closed = true;
    expect(await done).toEqual({ how: "blocked", url });
  });
});
