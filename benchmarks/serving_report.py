"""The figures of serving.py, kept as JSON, and the report that is written from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

KINDS = ("json", "binary")
CONNECTIONS = (1, 16, 64)
LIMIT = 0.95
"""A load generator that is busier was the limit, not the server."""


class Figures:
    """All that was measured, kept beside the report at ``output`` (null: nowhere)."""

    def __init__(self, output: Path | None, machine: str) -> None:
        self._output = output
        self._file = output and output.with_suffix(".json")
        self.data: dict[str, Any] = {"runs": [], "parts": {}}
        if self._file and self._file.exists():
            self.data = json.loads(self._file.read_text())
        self.data["machine"] = machine

    def part(self, name: str, keep: bool) -> dict[str, Any]:
        """The figures of a part that is about to run: those before, or none; a failure is forgotten."""
        if not keep:
            self.data["parts"].pop(name, None)
            for one in self.data["runs"][:-1]:
                one["parts"] = [part for part in one["parts"] if part != name]
            self.data["runs"] = [one for one in self.data["runs"] if one["parts"]]
        part: dict[str, Any] = self.data["parts"].setdefault(name, {})
        part.pop("failed", None)
        return part

    def save(self) -> None:
        """Both files anew."""
        if self._output and self._file:
            self._output.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self.data) + "\n")
            self._output.write_text("\n".join(report(self.data)) + "\n")


# ---- figures


def best(rounds: list[dict[str, Any]], what: str) -> float:
    """The highest rate, the shortest time."""
    return float((max if what == "rate" else min)(one[what] for one in rounds))


def middle(rounds: list[dict[str, Any]], what: str) -> float:
    return float(median(one[what] for one in rounds))


class Cell:
    """What was measured with one kind of request and so many connections."""

    def __init__(self, part: dict[str, Any], kind: str, connections: int) -> None:
        servers = part.get("servers", {})
        key = f"{kind} {connections}"
        self.rounds = {name: one["rounds"][key] for name, one in servers.items() if one["rounds"].get(key)}
        self.titles = {name: servers[name]["title"] for name in self.rounds}
        self.peers = [name for name in self.rounds if name != "nacre"]

    def of(self, name: str, what: str) -> float:
        return best(self.rounds[name], what)

    def first(self, what: str, pick: Any = best) -> str:
        """The peer that is the best in this."""
        choose = max if what == "rate" else min
        return str(choose(self.peers, key=lambda name: pick(self.rounds[name], what)))

    def times(self, what: str, pick: Any = best) -> float:
        """The best peer's divided by Nacre's."""
        peer = self.first(what, pick)
        return float(pick(self.rounds[peer], what) / pick(self.rounds["nacre"], what))

    @property
    def whole(self) -> bool:
        """Whether Nacre can be compared."""
        return "nacre" in self.rounds and bool(self.peers)


# ---- targets


def verdict(reached: bool) -> str:
    return "reached" if reached else "**missed**"


Row = tuple[str, str, str]
NOT = "not measured"


def targets(parts: dict[str, Any]) -> Iterator[Row]:
    """Each target, what was measured, and whether that reaches it."""
    main = parts.get("main", {})
    yield from rates(main)
    yield from delays(main)
    yield resnet_target(parts.get("resnet", {}))
    yield workers_target(parts.get("workers", {}))
    many = parts.get("many", {})
    yield (
        f"{many.get('models', 500)} models on one server",
        f"{many['full']:,.0f} MB, {median(many['warm']):.1f} ms warm, {median(many['cold']):.1f} ms cold"
        if "full" in many
        else "",
        "measured" if "full" in many else NOT,
    )
    spoken = parts.get("dialects", {})
    for kind in ("v2 gRPC", "TF Serving gRPC", "TF Serving REST"):
        cell = Cell(spoken, kind, 16)
        there = "nacre" in cell.rounds
        yield (kind, f"{cell.of('nacre', 'rate'):,.0f}/s" if there else "", "measured" if there else NOT)
    for title, part in (("HTTP", main), ("HTTP and gRPC", spoken)):
        rss = part.get("servers", {}).get("nacre", {}).get("rss")
        text = f"resident after load, {title}: ≤ 120 MB + models"
        if rss is None:
            yield text, "", NOT
        else:
            size = part.get("model", 0.0)
            yield text, f"{rss:.0f} MB, of them {size:.1f} the model's file", verdict(rss - size <= 120)


def rates(main: dict[str, Any]) -> Iterator[Row]:
    cell = Cell(main, "json", 16)
    for names, title, factor in (
        (("triton",), "Triton's python backend", 5),
        (("mlserver", "mlserver-workers"), "MLServer", 12),
    ):
        text = f"JSON, 16 connections: ≥ {factor} × {title}"
        there = [name for name in names if name in cell.rounds]
        if not there or "nacre" not in cell.rounds:
            yield text, "", NOT
            continue
        peer = max(there, key=lambda name: cell.of(name, "rate"))
        ours, theirs = cell.of("nacre", "rate"), cell.of(peer, "rate")
        which = f" ({cell.titles[peer]})" if len(names) > 1 else ""
        yield (
            text,
            f"{ours:,.0f} to {theirs:,.0f}/s{which}: {ours / theirs:.1f} ×",
            verdict(ours >= factor * theirs),
        )
    cell = Cell(main, "binary", 16)
    text = "v2 binary, 16 connections: ≥ 25,000/s or ≥ 0.5 of ONNX Runtime in process"
    if "nacre" in cell.rounds and main.get("raw"):
        ours, raw = cell.of("nacre", "rate"), best(main["raw"], "rate")
        yield text, f"{ours:,.0f}/s, {ours / raw:.2f}", verdict(ours >= 25_000 or ours >= 0.5 * raw)
    else:
        yield text, "", NOT


def delays(main: dict[str, Any]) -> Iterator[Row]:
    for kind in KINDS:
        cell = Cell(main, kind, 16)
        text = f"p99, {kind}, 16 connections: ≤ ⅓ of the best peer's"
        if cell.whole:
            peer = cell.first("p99")
            yield (
                text,
                f"{cell.of('nacre', 'p99'):.2f} ms to {cell.of(peer, 'p99'):.2f} ({cell.titles[peer]}): "
                f"1/{cell.times('p99'):.1f}; by medians of the rounds 1/{cell.times('p99', middle):.1f}",
                verdict(cell.times("p99") >= 3),
            )
        else:
            yield text, "", NOT
    for kind in KINDS:
        cell = Cell(main, kind, 1)
        text = f"p50, {kind}, 1 connection: no worse than the best peer's"
        if cell.whole:
            peer = cell.first("p50")
            ours, theirs = cell.of("nacre", "p50"), cell.of(peer, "p50")
            yield text, f"{ours:.3f} ms to {theirs:.3f} ({cell.titles[peer]})", verdict(ours <= theirs)
        else:
            yield text, "", NOT


def resnet_target(part: dict[str, Any]) -> Row:
    text = "ResNet-18: ≥ 0.9 of the best raw loop of batches"
    if not part.get("served") or not part.get("raw"):
        return text, "", NOT
    ratio = of_loop(part)
    cpu = min(best(found, "cpu") for found in part["raw"].values()) / best(part["served"], "cpu")
    return text, f"{ratio:.2f}; by CPU time for an image {cpu:.2f}", verdict(ratio >= 0.9)


def of_loop(part: dict[str, Any]) -> float:
    """Nacre's rate as a share of the best loop's."""
    return best(part["served"], "rate") / max(best(found, "rate") for found in part["raw"].values())


def workers_target(part: dict[str, Any]) -> Row:
    text = "two workers: ≥ 1.8 × one, where cores allow"
    rounds = {name: one["rounds"].get("json 64") for name, one in part.get("servers", {}).items()}
    if not rounds.get("1") or not rounds.get("2"):
        return text, "", NOT
    times = best(rounds["2"], "rate") / best(rounds["1"], "rate")
    if part["cores"] < 3:
        return text, f"both on one core: {times:.2f} ×", f"not to be told on {part['cores']} cores"
    return text, f"{times:.2f} ×", verdict(times >= 1.8)


# ---- the report


def report(data: dict[str, Any]) -> Iterator[str]:
    """Its lines."""
    parts = data["parts"]
    yield "# Serving: measured\n"
    for one in data["runs"]:
        yield f"    {one['command']}"
    yield f"\n{data['machine']}.\n"
    for one in data["runs"]:
        yield (
            f"- {one['time']} ({', '.join(one['parts'])}): load before the run {one['load']:.1f}; while "
            f"both cores are busy, {one['gaps']}."
        )
    yield "\n## Targets\n"
    yield "| target | measured | |\n|---|---|---|"
    for row in targets(parts):
        yield f"| {' | '.join(row)} |"
    yield (
        "\nEach figure here and below is the best of its rounds, for every server by the same rule, and "
        "apart from the others: the best 99th percentile need not be of the round with the best rate. What "
        "this machine loses in gaps spoils single rounds, of any server. The server has one core, the load "
        "generator the other; a † marks loads whose generator was busy for over 95 % of the time."
    )
    writers = {
        "main": everybody, "resnet": resnet, "workers": workers, "dialects": dialects, "many": many
    }  # fmt: skip
    for name, write in writers.items():
        if name in parts:
            yield from write(parts[name])
            if "failed" in parts[name]:
                yield f"\nThe part `{name}` failed: {parts[name]['failed']}"
            for error in parts[name].get("errors", []):
                yield f"\nNot answered: {error}."


def everybody(part: dict[str, Any]) -> Iterator[str]:
    yield "\n## One sample a request\n"
    for text in part.get("left out", {}).values():
        yield f"Left out: {text}.\n"
    if not part.get("raw"):
        return
    raw = best(part["raw"], "rate")
    yield (
        f"A 784-128-10 MLP. ONNX Runtime in process, one thread: {raw:,.0f} runs/s. Memory: of all "
        "processes, what they share counted once."
    )
    for kind in KINDS:
        for connections in CONNECTIONS:
            cell = Cell(part, kind, connections)
            if cell.whole:
                yield from table(
                    part, cell, f"{kind}, {connections} connection{'s'[: connections - 1]}", raw
                )


def table(part: dict[str, Any], cell: Cell, title: str, raw: float) -> Iterator[str]:
    yield f"\n### {title}\n"
    yield "| server | req/s | of ONNX Runtime | p50 ms | p99 ms | CPU ms | memory MB | Nacre is |"
    yield "|---|---|---|---|---|---|---|---|"
    for name in sorted(cell.rounds, key=lambda name: -cell.of(name, "rate")):
        rate = cell.of(name, "rate")
        times = f"{cell.of('nacre', 'rate') / rate:.1f} ×" if name != "nacre" else ""
        memory = part["servers"][name]["pss"]
        yield (
            f"| {cell.titles[name]} | {rate:,.0f}{mark(cell.rounds[name])} | {rate / raw:.2f} "
            f"| {cell.of(name, 'p50'):.2f} | {cell.of(name, 'p99'):.2f} | {cell.of(name, 'cpu'):.3f} "
            f"| {memory:.0f} | {times} |"
        )
    peer = cell.first("p99")
    counts = sorted({len(rounds) for rounds in cell.rounds.values()})
    yield (
        f"\np99 of the best peer ({cell.titles[peer]}) / Nacre's: {cell.times('p99'):.1f}; by the medians "
        f"of the rounds {cell.times('p99', middle):.1f}. Rounds: {' to '.join(map(str, counts))}."
    )


def mark(rounds: list[dict[str, Any]]) -> str:
    """Of a rate that the load generator may have limited."""
    return " †" if max(rounds, key=lambda one: one["rate"])["busy"] > LIMIT else ""


def resnet(part: dict[str, Any]) -> Iterator[str]:
    if not part.get("served") or not part.get("raw"):
        return
    yield "\n## ResNet-18 on 64×64 images, binary, 32 connections\n"
    yield "| | images/s | p50 ms | p99 ms | CPU ms |\n|---|---|---|---|---|"
    for size, found in part["raw"].items():
        yield (
            f"| ONNX Runtime in process, batches of {size} | {best(found, 'rate'):.1f} | | "
            f"| {best(found, 'cpu'):.2f} |"
        )
    served = part["served"]
    yield (
        f"| **Nacre** | {best(served, 'rate'):.1f} | {best(served, 'p50'):.0f} | {best(served, 'p99'):.0f} "
        f"| {best(served, 'cpu'):.2f} |"
    )
    yield (
        f"\nOf the best loop: {of_loop(part):.2f}. Batches of {middle(served, 'batch'):.0f} images on "
        "average. The loop has the same session with the same options on the same core."
    )


def workers(part: dict[str, Any]) -> Iterator[str]:
    text, measured, reached = workers_target(part)
    yield f"\n## Two workers\n\nJSON, 64 connections, {measured}: {reached} ({text})."
    if part.get("cores", 3) < 3:
        yield (
            "\nOf two cores the load generator needs one. Both workers on one core show what the second "
            "costs there, no more."
        )


def dialects(part: dict[str, Any]) -> Iterator[str]:
    yield "\n## Dialects, 16 requests at a time\n"
    yield "gRPC by 4 connections with 4 calls each; the load generator writes frames of HTTP/2 itself.\n"
    yield "| | req/s | p50 ms | p99 ms | CPU ms |\n|---|---|---|---|---|"
    for one in part.get("servers", {}).values():
        for key, rounds in one["rounds"].items():
            cells = f"{best(rounds, 'rate'):,.0f}{mark(rounds)} | {best(rounds, 'p50'):.2f}"
            cells += f" | {best(rounds, 'p99'):.2f} | {best(rounds, 'cpu'):.3f}"
            yield f"| {one['title']}, {key.rpartition(' ')[0]} | {cells} |"


def many(part: dict[str, Any]) -> Iterator[str]:
    if "full" not in part:
        return
    yield f"\n## {part['models']} models on one server\n"
    warm, cold = sorted(part["warm"]), sorted(part["cold"])
    yield (
        f"All ready {part['ready']:.0f} s after the start. Resident: {part['full']:.0f} MB with all "
        f"loaded, {part['empty']:.0f} MB with all unloaded. A request to a loaded model takes "
        f"{median(warm):.2f} ms (a new connection each; p99 {warm[int(len(warm) * 0.99)]:.1f}), to an "
        f"unloaded one {median(cold):.1f} ms (worst of {len(cold)}: {cold[-1]:.0f})."
    )
