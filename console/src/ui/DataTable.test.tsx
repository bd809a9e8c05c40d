// @vitest-environment jsdom
import "@/test/setup";
import { fireEvent, render, screen } from "@testing-library/react";
import { MemoryRouter, useLocation } from "react-router";
import { expect, it, vi } from "vitest";
import { DataTable } from "./DataTable";

function Where() {
  return <output>{useLocation().pathname}</output>;
}

it("opens a row where it is clicked, but not where something of it is", () => {
  const pressed = vi.fn();
  const columns = [
    { key: "name", label: "Name", cell: (name: string) => name },
    { key: "note", label: "Note", cell: (name: string) => `about ${name}` },
    { key: "act", label: "Act", cell: (name: string) => <button onClick={pressed}>{`Stop ${name}`}</button> },
  ];
  render(
    <MemoryRouter>
      <DataTable label="Things" rows={["one", "two"]} columns={columns} id={(name) => name} to={(name) => `/things/${name}`} />
      <Where />
    </MemoryRouter>,
  );
  const here = () => document.querySelector("output")!.textContent;
  fireEvent.click(screen.getByRole("button", { name: "Stop two" }));
  fireEvent.click(screen.getByText("about two"), { ctrlKey: true });
  expect(pressed).toHaveBeenCalledOnce();
  expect(here()).toBe("/");
  fireEvent.click(screen.getByText("about two"));
  expect(here()).toBe("/things/two");
  fireEvent.click(screen.getByRole("link", { name: "one" }));
  expect(here()).toBe("/things/one");
});

it("leaves rows alone that lead nowhere", () => {
  render(
    <MemoryRouter>
      <DataTable label="Things" rows={["one"]} columns={[{ key: "name", label: "Name", cell: (name: string) => name }]} id={(name) => name} />
      <Where />
    </MemoryRouter>,
  );
  fireEvent.click(screen.getByText("one"));
  expect(document.querySelector("output")!.textContent).toBe("/");
});
