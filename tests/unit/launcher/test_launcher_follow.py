"""Event files and printed lines become records of the run, once, and never beside the program's own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from launcher_host import Host, wait_for
from tests.event_files import BEGINNING, scalar, write

from nacre.launcher.channels import LogChannel
from nacre.launcher.folder import Events, Folder
from nacre.launcher.follow import Follow
from nacre.launcher.masks import Masks
from nacre.launcher.printed import Printed, pairs
from nacre.launcher.spec import Spec
from nacre.sdk.tracking.records import Lines

NOW = float(int(time.time()) + 1000)

Record = tuple[str, int, Any]


# The lines of a log


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("loss=0.5", [("loss", 0.5)]),
        ("epoch=3/10 loss=1e-3, val/acc=.5", [("epoch", 3), ("loss", 0.001), ("val/acc", 0.5)]),
        ("  loss = 0.5 ; acc = -inf ;", [("loss", 0.5), ("acc", float("-inf"))]),
        ("Validation-F1=0.9,lr|0=1", [("Validation-F1", 0.9), ("lr|0", 1)]),
        ("loss=0.5 done", []),
        ("loss=0.5%", []),
        ("model=resnet lr=0.1", []),
        ("loss=3/10", []),
        ("loss==1", []),
        ("loss=1,,acc=2", []),
        ("[1] loss=1", []),
        ("loss: 0.5", []),
        ("a" * 101 + "=1", []),
    ],
)
def test_only_a_line_of_nothing_but_pairs_with_numbers_counts(
    line: str, found: list[tuple[str, float]]
) -> None:
    assert pairs(line) == found


def test_the_nearest_name_of_a_step_says_where_the_others_are() -> None:
    read = Printed().read
    assert read(b"epoch=1 step=200 loss=0.5\n") == [("loss", 200, 0.5)]
    assert read(b"Epoch=2, loss=0.4\n") == [("loss", 2, 0.4)]


def test_a_line_of_a_step_alone_is_for_the_lines_after_it() -> None:
    assert Printed().read(b"epoch=7\nloss=0.5\nacc=0.9\nepoch=8\nloss=0.4\n") == [
        ("loss", 7, 0.5),
        ("acc", 7, 0.9),
        ("loss", 8, 0.4),
    ]


def test_without_a_step_each_name_counts_for_itself_also_after_a_pause() -> None:
    printed = Printed()
    assert printed.read(b"loss=3\rloss=2\nacc=1\n") == [("loss", 0, 3), ("loss", 1, 2), ("acc", 0, 1)]
    again = Printed(json.loads(json.dumps(printed.state())))
    assert again.read(b"loss=1\nacc=2\n") == [("loss", 2, 1), ("acc", 1, 2)]


def test_names_are_limited() -> None:
    data = "".join(f"metric{number}=1\n" for number in range(500)).encode()
    assert len(Printed().read(data)) == 200


def test_a_log_without_pairs_costs_next_to_nothing() -> None:
    data = b"Epoch 1/10: 100%|#######| 938/938 [00:05<00:00, 170.1it/s, loss: 0.3] x = y\n" * 50_000
    began = time.process_time()
    assert Printed().read(data) == []
    assert time.process_time() - began < 1.0  # 4 MB


# One attempt's folder


class Attempt:
    def __init__(self, root: Path, **spec: Any) -> None:
        self.root = root
        for name in ("work", "output", "io"):
            (root / name).mkdir()
        (root / "log").touch()
        (root / "io" / "track.jsonl").touch()
        (root / "workload.json").touch()
        raw = {"project": "p", "subject_id": "j", "subject_name": "j", "attempt_id": "a", "token": "t"}
        raw |= {"folder": str(root), "server": "http://x", "trees_root": "/t", "command": ["x"]}  # type: ignore[dict-item]
        self.spec = Spec(raw | {"sandbox": "none"} | spec)
        self.sdk = Lines()

    def follow(self) -> Follow:
        folder = Folder(str(self.root))
        masks = Masks(list(self.spec.secrets.values()))
        log = LogChannel(folder, 0, self.spec.limits.log_bytes, masks)
        roots = [str(self.root / name) for name in ("work", "output")]
        return Follow(self.spec, folder, roots, log, masks, Events(folder))

    def print(self, text: str) -> None:
        with (self.root / "log").open("a") as file:
            file.write(text)

    def track(self, key: str, value: float, step: int) -> None:
        with (self.root / "io" / "track.jsonl").open("a") as file:
            file.write(self.sdk.metric(key, value, step) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / "io" / "track.jsonl").read_text().splitlines()]

    def records(self) -> list[Record]:
        return [(line["key"], line["step"], line["value"]) for line in self.lines()]

    def distinct(self) -> list[tuple[Any, ...]]:
        """As the server has them: of the same step, time and value one."""
        return sorted({(r["key"], r["step"], r["time_ms"], str(r["value"])) for r in self.lines()})


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path)


def finish(follow: Follow) -> None:
    follow.finish(lambda: None)


def test_a_growing_event_file_is_followed_and_its_times_are_kept(attempt: Attempt) -> None:
    path = write(attempt.root / "work/runs/a/events.out.tfevents.1.h", scalar("loss", 0, 0.5, NOW))
    follow = attempt.follow()
    follow._turn()
    follow._turn()
    assert attempt.records() == [("loss", 0, 0.5)]
    half = scalar("loss", 1, 0.25, NOW + 1.5)
    path.write_bytes(path.read_bytes() + half[:20])
    follow._turn()
    follow._turn()
    path.write_bytes(path.read_bytes() + half[20:])
    finish(follow)
    assert attempt.records() == [("loss", 0, 0.5), ("loss", 1, 0.25)]
    assert [line["time_ms"] for line in attempt.lines()] == [int(NOW * 1000), int(NOW * 1000) + 1500]


def test_writers_of_several_folders_are_told_apart_and_their_names_stay(attempt: Attempt) -> None:
    write(attempt.root / "work/logs/train/events.out.tfevents.1.h", scalar("loss", 0, 1, NOW))
    follow = attempt.follow()
    follow._turn()
    follow._turn()
    write(attempt.root / "work/logs/validation/events.out.tfevents.2.h", scalar("loss", 0, 2, NOW))
    write(attempt.root / "work/logs/events.out.tfevents.3.h", scalar("lr", 0, 3, NOW))
    finish(follow)
    assert attempt.records() == [("train/loss", 0, 1.0), ("validation/loss", 0, 2.0), ("lr", 0, 3.0)]


def test_the_first_of_sibling_folders_has_the_plain_names(attempt: Attempt) -> None:
    for number in (2, 0, 1):
        name = f"output/tb/version_{number}/events.out.tfevents.{number + 5}.h"
        write(attempt.root / name, scalar("loss", 0, number, NOW))
    finish(attempt.follow())
    assert attempt.records() == [("loss", 0, 0.0), ("version_1/loss", 0, 1.0), ("version_2/loss", 0, 2.0)]


def test_event_files_that_came_with_the_code_are_left_out(attempt: Attempt) -> None:
    old = time.time() - 3600
    write(attempt.root / "work/runs/old/events.out.tfevents.1.h", scalar("loss", 0, 0.5, old))
    finish(attempt.follow())
    assert attempt.records() == []


def test_links_pipes_and_strange_names_lead_nowhere(attempt: Attempt, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside")
    secret = write(outside / "events.out.tfevents.1.h", scalar("secret", 0, 1, NOW))
    work = attempt.root / "work"
    (work / "link").symlink_to(outside)
    (work / "events.out.tfevents.2.h").symlink_to(secret)
    os.link(secret, work / "events.out.tfevents.3.h")
    os.mkfifo(work / "events.out.tfevents.4.h")
    (work / "events.out.tfevents.5.h").mkdir()
    (work / "events.out.tfevents.6.h").write_bytes(b"\0" * 100_000)
    odd = work / "a\nb\t\x1b[31m"
    write(odd / "events.out.tfevents.7.h", scalar("k\n" + "x" * 300, 0, 1, NOW), scalar("\0", 0, 1, NOW))
    deep = work.joinpath(*(["d"] * 30))
    write(deep / "events.out.tfevents.8.h", scalar("deep", 0, 1, NOW))
    finish(attempt.follow())
    assert attempt.records() == [(("ab[31m/k" + "x" * 300)[:250], 0, 1.0)]


def test_a_deleted_file_is_read_to_its_end_and_one_begun_anew_from_its_beginning(attempt: Attempt) -> None:
    gone = write(attempt.root / "work/a/events.out.tfevents.1.h", scalar("a", 0, 1, NOW))
    anew = write(
        attempt.root / "work/a/events.out.tfevents.2.h", scalar("b", 0, 1, NOW), scalar("b", 1, 1, NOW)
    )
    follow = attempt.follow()
    follow._turn()
    with gone.open("ab") as file:
        file.write(scalar("a", 1, 2, NOW))
    gone.unlink()
    anew.write_bytes(BEGINNING + scalar("b", 7, 7, NOW))
    for _ in range(3):
        follow._turn()
    assert len(follow._files._files) == 1
    finish(follow)
    assert sorted(attempt.records()) == [("a", 0, 1.0), ("a", 1, 2.0), ("b", 7, 7.0)]


def test_a_huge_tree_is_searched_within_bounds(attempt: Attempt) -> None:
    for number in range(25):
        folder = attempt.root / "work" / f"f{number:02}"
        folder.mkdir()
        for name in range(1000):
            (folder / f"{name}.txt").touch()
    follow = attempt.follow()
    began = time.process_time()
    follow._turn()
    first = time.process_time() - began
    began = time.process_time()
    for _ in range(10):
        follow._turn()
    assert time.process_time() - began < first  # it is not searched again at once
    finish(follow)


def test_what_the_program_tracks_is_not_taken_from_elsewhere(attempt: Attempt) -> None:
    attempt.track("loss", 0.5, 0)
    attempt.track("val_loss", 0.5, 0)
    (attempt.root / "io" / "claims").write_text('"acc"\n')
    attempt.print("loss=0.5 acc=0.9 f1=0.1\n")
    write(
        attempt.root / "work/logs/train/events.out.tfevents.1.h",
        scalar("epoch_loss", 0, 0.5, NOW),
        scalar("lr", 0, 0.1, NOW),
    )
    write(attempt.root / "work/logs/validation/events.out.tfevents.1.h", scalar("epoch_loss", 0, 0.5, NOW))
    finish(attempt.follow())
    assert attempt.records()[2:] == [("train/lr", 0, pytest.approx(0.1)), ("f1", 0, 0.1)]


def test_the_programs_record_of_the_same_moment_comes_in_time(attempt: Attempt) -> None:
    follow = attempt.follow()
    attempt.print("loss=0.5\n")
    follow._turn()
    attempt.track("loss", 0.5, 0)  # a moment after the line
    follow._turn()
    finish(follow)
    assert attempt.records() == [("loss", 0, 0.5)]


def test_a_curve_that_is_in_both_comes_from_where_it_was_first(attempt: Attempt) -> None:
    follow = attempt.follow()
    attempt.print("step=5 loss=0.5\n")
    follow._turn()
    follow._turn()
    write(
        attempt.root / "work/events.out.tfevents.1.h", scalar("loss", 5, 0.5, NOW), scalar("b", 5, 1, NOW)
    )
    attempt.print("step=6 loss=0.25\nstep=6 b=2\n")
    finish(follow)
    assert attempt.records() == [("loss", 5, 0.5), ("b", 5, 1.0), ("loss", 6, 0.25)]


def test_a_launcher_that_dies_anywhere_leaves_every_point_once(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    path = write(attempt.root / "work/events.out.tfevents.1.h")
    real_append, real_write = Follow._append, Folder.write_json
    deaths = iter(range(1, 100))
    budget = [2]

    def die(do: Callable[[], None]) -> None:
        budget[0] -= 1
        if budget[0] == 0:
            raise Killed
        do()
        budget[0] -= 1
        if budget[0] == 0:
            raise Killed

    monkeypatch.setattr(Follow, "_append", lambda self, data: die(lambda: real_append(self, data)))
    monkeypatch.setattr(
        Folder, "write_json", lambda self, name, value: die(lambda: real_write(self, name, value))
    )
    wanted = 0
    for round_ in range(20):
        attempt.print(f"loss={round_}\n")
        with path.open("ab") as file:
            file.write(scalar("tb", round_, round_, NOW + round_))
        wanted += 2
        follow = attempt.follow()
        budget[0] = next(deaths) % 6 + 1
        try:
            follow._look(last=True)
            follow._turn()
            follow._save()
        except Killed:
            continue
    budget[0] = -1
    finish(attempt.follow())
    found = attempt.distinct()
    assert len(found) == wanted
    steps = [(key, step) for key, step, _, _ in found]
    assert sorted(steps) == sorted([("loss", n) for n in range(20)] + [("tb", n) for n in range(20)])


def test_a_secret_of_digits_is_no_metric(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, secrets={"PIN": "12345678"})
    attempt.print("pin=12345678\nloss=1\n")
    finish(attempt.follow())
    assert attempt.records() == [("loss", 0, 1.0)]


def test_a_torrent_of_pairs_is_cut_with_one_warning(attempt: Attempt) -> None:
    attempt.print("loss=1\n" * 20_000)
    finish(attempt.follow())
    assert len(attempt.records()) == 5_000
    warnings = [json.loads(line) for line in (attempt.root / "events.jsonl").read_text().splitlines()]
    assert [w["type"] for w in warnings] == ["warning"]


def test_odd_numbers_travel_as_the_server_wants_them(attempt: Attempt) -> None:
    attempt.print("a=nan b=-inf c=inf")  # without the end of the line
    finish(attempt.follow())
    assert attempt.records() == [("a", 0, "NaN"), ("b", 0, "-Infinity"), ("c", 0, "Infinity")]


def test_following_an_idle_job_costs_under_a_thousandth_of_a_core(attempt: Attempt) -> None:
    for number in range(50):
        write(attempt.root / f"work/{number}/events.out.tfevents.1.h", scalar("a", 0, 1, NOW))
    follow = attempt.follow()
    for _ in range(5):
        follow._turn()
    began = time.process_time()
    for _ in range(20):  # of a second each
        follow._turn()
    assert (time.process_time() - began) / 20 < 0.003
    finish(follow)


# A launched job


def test_a_job_that_tracks_nothing_has_its_curves(host: Host) -> None:
    data = (BEGINNING + scalar("loss", 3, 0.5, NOW)).hex()
    script = f"""mkdir runs; echo epoch=1 acc=0.5
printf '%s' {data} | xxd -r -p > runs/events.out.tfevents.1.h 2>/dev/null || python3 -c "
open('runs/events.out.tfevents.1.h', 'wb').write(bytes.fromhex('{data}'))"
"""
    host.run("sh", "-c", script, capture=True)
    found = [json.loads(line) for line in host.api.channel("track").splitlines()]
    assert sorted((r["key"], r["step"], r["value"]) for r in found) == [("acc", 1, 0.5), ("loss", 3, 0.5)]
    assert not (host.folder / "follow.json").exists()


def test_with_capture_off_nothing_is_taken(plain: Host) -> None:
    plain.run("echo", "loss=0.5", capture=False)
    assert plain.api.channel("track") == b""


def test_curves_of_a_running_job_are_live_and_outlive_a_launcher(plain: Host) -> None:
    script = "i=0; while [ $i -lt 40 ]; do echo step=$i loss=0.5; i=$((i+1)); sleep 0.1; done"
    plain.spec("sh", "-c", script, capture=True)
    launcher = plain.start()
    wait_for(lambda: plain.api.channel("track").count(b"\n") > 3)
    launcher.kill()
    launcher.wait(10)
    assert plain.start("--adopt").wait(30) == 0
    found = [json.loads(line) for line in plain.api.channel("track").splitlines()]
    assert sorted({(r["step"], r["time_ms"]) for r in found})[-1][0] == 39
    assert len({(r["step"], r["time_ms"], r["value"]) for r in found}) == 40
