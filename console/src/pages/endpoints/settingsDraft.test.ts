import { describe, expect, it } from "vitest";
import { changes, draftOf, nameOf, words } from "./settingsDraft";

const scaling = { min_replicas: 1, max_replicas: 1, target: 4, idle_s: 300, schedules: [] };
const rollback = { enabled: true, window_s: 60, min_requests: 50, error_rate: 0.07, latency_factor: 2 };
const settings = { access_log: 0, cors_origins: ["https://a.example"], rollback, max_request_bytes: 16 * 2 ** 20, timeout_s: null, capture: null };
const before = draftOf({ scaling, settings });
const capturing = draftOf({ scaling, settings: { ...settings, capture: { dataset: "seen", share: 0.05, budget_bytes: 2 ** 30 } } });

describe("an endpoint's settings", () => {
  it("read as one writes them", () => {
    expect(before).toMatchObject({ error_rate: "7", max_request_bytes: "16MB", timeout_s: "", cors_origins: "https://a.example", capture_dataset: "", capture_share: "1", rollback: true });
    expect(capturing).toMatchObject({ capture_dataset: "seen", capture_share: "5", capture_budget: "1GB" });
  });
  it("are sent where they changed, and only there", () => {
    expect(changes(before, before)).toBeNull();
    expect(changes(before, { ...before, max_request_bytes: "16 MiB", capture_share: "9", target: "4.0" })).toBeNull();
    expect(changes(before, { ...before, min_replicas: "0", timeout_s: "2.5", error_rate: "10", rollback: false })).toEqual({
      scaling: { min_replicas: 0 },
      settings: { timeout_s: 2.5, rollback: { error_rate: 0.1, enabled: false } },
    });
    expect(changes(before, { ...before, max_request_bytes: "", cors_origins: "https://a.example\n https://b.example, " })).toEqual({
      settings: { max_request_bytes: null, cors_origins: ["https://a.example", "https://b.example"] },
    });
  });
  it("capture as a whole, or not at all", () => {
    expect(changes(before, { ...before, capture_dataset: "seen" })).toEqual({ settings: { capture: { dataset: "seen", share: 0.01, budget_bytes: 104857600 } } });
    expect(changes(capturing, { ...capturing, capture_share: "50" })).toEqual({ settings: { capture: { dataset: "seen", share: 0.5, budget_bytes: 2 ** 30 } } });
    expect(changes(capturing, { ...capturing, capture_dataset: " " })).toEqual({ settings: { capture: null } });
  });
  it("have schedules, which are sent as a whole", () => {
    const night = { days: [6, 5], from: "22:00", to: "06:00", least: "0", most: "1" };
    const sent = { days: [5, 6], from_time: "22:00", to_time: "06:00", min_replicas: 0, max_replicas: 1 };
    const after = { ...before, schedules: [night] };
    expect(changes(before, after)).toEqual({ scaling: { schedules: [sent] } });
    expect(words("ask", before, after)).toEqual(["nacre", "endpoint", "set", "ask", "--schedule", "sat,sun 22:00-06:00 0..1"]);
    const scheduled = draftOf({ scaling: { ...scaling, schedules: [sent, { ...sent, days: [0, 1, 2, 3, 4, 5, 6] }] }, settings });
    expect(changes(scheduled, { ...scheduled, schedules: [night, scheduled.schedules[1]!] })).toBeNull();
    expect(words("ask", scheduled, { ...scheduled, schedules: scheduled.schedules.slice(1) })?.slice(4)).toEqual(["--schedule", "22:00-06:00 0..1"]);
    expect(changes(scheduled, { ...scheduled, schedules: [] })).toEqual({ scaling: { schedules: [] } });
    expect(words("ask", scheduled, { ...scheduled, schedules: [] })?.slice(4)).toEqual(["--schedule", ""]);
    const wrong = { ...before, schedules: [{ ...night, least: "some" }] };
    expect(changes(before, wrong)).toEqual({ scaling: { schedules: [{ ...sent, min_replicas: "some" }] } });
  });
  it("leave what they cannot read to the server", () => {
    expect(changes(before, { ...before, min_replicas: "two", idle_s: "", max_request_bytes: "big" })).toEqual({
      scaling: { min_replicas: "two", idle_s: "" },
      settings: { max_request_bytes: "big" },
    });
    expect(nameOf("settings.capture.share")).toBe("capture_share");
    expect(nameOf("settings.cors_origins.0")).toBe("cors_origins");
    expect(nameOf("scaling")).toBeNull();
  });
  it("are a command, where it has all of the options", () => {
    expect(words("ask", before, before)).toBeNull();
    expect(words("ask", before, { ...before, idle_s: "600", max_request_bytes: "", cors_origins: "", rollback: false })).toEqual(
      ["nacre", "endpoint", "set", "ask", "--idle", "600s", "--default", "max_request_bytes", "--cors", "", "--no-rollback"],
    );
    expect(words("ask", capturing, { ...capturing, capture_dataset: "" })?.slice(4)).toEqual(["--default", "capture"]);
    expect(words("ask", before, { ...before, window_s: "30" })).toBeNull();
  });
});
