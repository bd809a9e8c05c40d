// @vitest-environment jsdom
import "@/test/setup";
import { MantineProvider, Modal } from "@mantine/core";
import { act, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { lazy, useState } from "react";
import { expect, it, vi } from "vitest";
import { Late } from "./Late";

function Dialog({ opened, close }: { opened: boolean; close: () => void }) {
  return (
    <Modal opened={opened} onClose={close} title="Dialog" transitionProps={{ duration: 0 }}>
      <input aria-label="Inside" data-autofocus />
    </Modal>
  );
}

it("comes when it is first opened, and gives the focus back each time", async () => {
  const load = vi.fn(() => Promise.resolve({ default: Dialog }));
  const Slow = lazy(load);
  function Page() {
    const [opened, setOpened] = useState(false);
    return (
      <MantineProvider>
        <button onClick={() => setOpened(true)}>Open</button>
        <Late opened={opened}>{(now) => <Slow opened={now} close={() => setOpened(false)} />}</Late>
      </MantineProvider>
    );
  }
  render(<Page />);
  expect(load).not.toHaveBeenCalled();
  const button = screen.getByRole("button", { name: "Open" });
  for (let time = 0; time < 2; time += 1) {
    act(() => button.focus());
    fireEvent.click(button);
    const field = await screen.findByLabelText("Inside");
    await waitFor(() => expect(document.activeElement).toBe(field));
    fireEvent.keyDown(field, { key: "Escape" });
    await waitFor(() => expect(document.activeElement).toBe(button));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  }
  expect(load).toHaveBeenCalledTimes(1);
});
