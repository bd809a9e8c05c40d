"""Tracking from users' programs: nothing lost, nothing twice, and never in the program's way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import People
from tests.database_kit import sqlite_in
from tests.tracking_kit import Tracking, serving, wire

from nacre.schema.runs import Run, RunState, TrackRecord

SRC = Path(__file__).parents[3] / "src"
RUN_ID = "0" * 32


class Program:
    """Runs Python code as a user's program would be run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.track_file = folder / "track.jsonl"
        self.output = folder / "output"
        self.output.mkdir()
        self.variables = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SRC),
            "HOME": str(folder),
            "NACRE_HOME": str(folder / "no-home"),
        }
        self.job = {
            "NACRE_TRACK_FILE": str(self.track_file),
            "NACRE_RUN_ID": RUN_ID,
            "NACRE_OUTPUT_DIR": str(self.output),
        }

    def start(
        self, code: str, variables: dict[str, str] | None = None, python: str = sys.executable
    ) -> subprocess.Popen[str]:
        script = self.folder / "train.py"
        script.write_text(textwrap.dedent(code))
        return subprocess.Popen(
            [python, str(script)],
            cwd=self.folder,
            env=self.variables | (self.job if variables is None else variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        code: str,
        variables: dict[str, str] | None = None,
        *,
        status: int = 0,
        python: str = sys.executable,
    ) -> tuple[str, str]:
        process = self.start(code, variables, python)
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode == status, err
        return out, err

    def records(self) -> list[TrackRecord]:
        """What was tracked; every line must be what the server takes."""
        return [TrackRecord.model_validate_json(line) for line in self.track_file.read_bytes().splitlines()]

    def metrics(self, key: str) -> list[tuple[int, float | None]]:
        return [(r.step, r.value) for r in self.records() if r.type == "m" and r.key == key]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


class TestInAJob:
    def test_each_kind_of_record(self, program: Program) -> None:
        program.run(
            """
            import nacre
            nacre.log_metric("loss", 0.5, step=3)
            nacre.log_metrics({"a": 1, "b": True}, step=4)
            nacre.log_param("lr", 1e-3)
            nacre.log_params({"model": "cnn", "layers": [1, 2]})
            nacre.set_tag("note", 'a "quoted"\\nline é')
            """
        )
        found = [(r.type, r.key, r.value, r.step, r.text) for r in program.records()]
        assert found == [
            ("m", "loss", 0.5, 3, None),
            ("m", "a", 1.0, 4, None),
            ("m", "b", 1.0, 4, None),
            ("p", "lr", None, 0, "0.001"),
            ("p", "model", None, 0, "cnn"),
            ("p", "layers", None, 0, "[1, 2]"),
            ("t", "note", None, 0, 'a "quoted"\nline é'),
        ]
        assert all(abs(r.time_ms / 1000 - time.time()) < 60 for r in program.records())

    def test_steps_count_by_themselves_and_go_on_from_the_greatest(self, program: Program) -> None:
        program.run(
            """
            import nacre
            for _ in range(3):
                nacre.log_metric("x", 1.0)
            nacre.log_metric("x", 1.0, step=10)
            nacre.log_metric("x", 1.0)
            nacre.log_metric("y", 1.0)
            """
        )
        assert [step for step, _ in program.metrics("x")] == [0, 1, 2, 10, 11]
        assert program.metrics("y") == [(0, 1.0)]

    def test_odd_numbers(self, program: Program) -> None:
        program.run(
            """
            import nacre, numpy as np
            inf = float("inf")
            for value in (float("nan"), inf, -inf, 1e300, -0.0, 10**18, np.float32(0.5), np.array([2.0]),
                          np.float64("nan"), np.int64(7)):
                nacre.log_metric("x", value, step=np.int64(1))
            """
        )
        values = [value for _, value in program.metrics("x")]
        assert str(values) == "[nan, inf, -inf, 1e+300, -0.0, 1e+18, 0.5, 2.0, nan, 7.0]"

    def test_what_is_no_number_is_refused_by_name(self, program: Program) -> None:
        out, _ = program.run(
            """
            import nacre, numpy as np
            for call in (
                lambda: nacre.log_metric("loss", "0.5"),
                lambda: nacre.log_metric("loss", None),
                lambda: nacre.log_metric("loss", [1.0]),
                lambda: nacre.log_metric("loss", np.zeros(3)),
                lambda: nacre.log_metric("loss", 1j),
                lambda: nacre.log_metric("loss", 1.0, step="one"),
                lambda: nacre.log_metric("loss", 1.0, step=2**63),
                lambda: nacre.log_metric("loss", 1.0, step=0.5),
                lambda: nacre.log_metric("loss" * 100, 1.0),
                lambda: nacre.log_metric(7, 1.0),
                lambda: nacre.log_metrics({"fine": 1.0, "loss": None}),
                lambda: nacre.log_param("loss", "x" * 9000),
            ):
                try:
                    call()
                except (TypeError, ValueError) as error:
                    print(type(error).__name__, error)
            """
        )
        said = out.splitlines()
        assert len(said) == 12
        assert all("loss" in line or "must be text" in line for line in said)
        assert "metric 'loss': ndarray of shape (3,) is not a single number" in said[3]
        assert not program.track_file.exists()

    def test_threads_lose_nothing(self, program: Program) -> None:
        program.run(
            """
            import threading, nacre
            def work(number):
                for step in range(1000):
                    nacre.log_metric("shared", step)
                    nacre.log_metric(f"own{number}", step, step=step)
            threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            """
        )
        assert sorted(step for step, _ in program.metrics("shared")) == list(range(8000))
        for number in range(8):
            assert program.metrics(f"own{number}") == [(step, float(step)) for step in range(1000)]

    def test_forked_writers_never_mix_their_lines(self, program: Program) -> None:
        program.run(
            """
            import os, threading, nacre
            nacre.log_metric("parent", 0.0)
            stop = threading.Event()
            def busy():  # holds locks while the forks happen
                while not stop.is_set():
                    nacre.log_metric("busy", 1.0)
            threading.Thread(target=busy).start()
            children = []
            for number in range(4):
                child = os.fork()
                if child == 0:
                    for step in range(500):
                        nacre.log_metrics({f"child{number}": step, "long" * 50: step}, step=step)
                    os._exit(0)
                children.append(child)
            for child in children:
                assert os.waitpid(child, 0)[1] == 0
            stop.set()
            """
        )
        for number in range(4):
            assert program.metrics(f"child{number}") == [(step, float(step)) for step in range(500)]
        assert len(program.metrics("long" * 50)) == 2000

    @pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(3)", "raise RuntimeError"])
    def test_a_crash_loses_nothing(self, program: Program, end: str) -> None:
        process = program.start(f"import os, nacre\nfor n in range(200): nacre.log_metric('x', n)\n{end}\n")
        process.communicate(timeout=60)
        assert process.returncode != 0
        assert [step for step, _ in program.metrics("x")] == list(range(200))

    def test_a_file_that_cannot_be_written_is_said_and_the_program_goes_on(self, program: Program) -> None:
        out, err = program.run(
            "import nacre\nfor n in range(5): nacre.log_metric('x', n)\nprint('done')",
            program.job | {"NACRE_TRACK_FILE": "/dev/full"},
        )
        assert out == "done\n"
        assert err.count("metrics cannot be written") == 1
        assert err.count("nacre: 5 records are lost") == 1

    @pytest.mark.parametrize("after", ["nacre.log_metric('x', 7)", "nacre.log_param('end', 1)", ""])
    def test_what_a_full_disk_refuses_is_written_later(self, program: Program, after: str) -> None:
        out, err = program.run(
            f"""
            import errno, os, nacre
            write, room = os.write, [100]
            def full(descriptor, data):
                if room[0] <= 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                taken = write(descriptor, data[:room[0]])
                room[0] -= taken
                return taken
            nacre.log_metric("x", 0)
            os.write = full  # the second record is torn
            for n in range(1, 7):
                nacre.log_metric("x", n, step=n)
            if os.fork() == 0:
                nacre.log_metric("child", 1)
                raise SystemExit
            os.wait()
            os.write = write
            {after}
            """
        )
        lines = program.track_file.read_bytes().splitlines()
        found = [json.loads(line) for line in lines if line.endswith(b"}")]
        assert len(found) == len(lines) - 1, "one line is torn"
        values = [one["value"] for one in found if one["key"] == "x"]
        assert values == [0, 1, 2, 3, 4, 5, 6] + [7] * ("7" in after)
        assert err.count("metrics cannot be written") == 1
        assert err.count("nacre: 1 records are lost") == 1, "the child's"
        assert out == ""

    def test_what_waits_is_bounded(self, program: Program) -> None:
        out, err = program.run(
            """
            import nacre
            for n in range(5000): nacre.log_param("p", "x" * 1000)
            from nacre.sdk.track import _State
            print(len(_State.sink._waiting) <= 2**20)
            """,
            program.job | {"NACRE_TRACK_FILE": "/dev/full"},
        )
        assert out == "True\n"
        assert "nacre: 5000 records are lost" in err

    def test_artifacts_are_copied_to_the_output_folder(self, program: Program) -> None:
        program.run(
            """
            import os, nacre
            os.makedirs("plots/deep")
            for name in ("a.txt", "plots/b.txt", "plots/deep/c.txt"):
                open(name, "w").write(name)
            nacre.log_artifact("a.txt")
            nacre.log_artifact("a.txt", "copies/one")
            nacre.log_artifact("plots")
            own = os.path.join(os.environ["NACRE_OUTPUT_DIR"], "a.txt")
            nacre.log_artifact(own)
            for bad in ("../out", "/etc"):
                try: nacre.log_artifact("a.txt", bad)
                except ValueError as error: assert "inside the run" in str(error)
                else: raise SystemExit("accepted " + bad)
            try: nacre.log_artifact("absent")
            except FileNotFoundError as error: assert "absent" in str(error)
            else: raise SystemExit("accepted absent")
            """
        )
        found = {
            str(path.relative_to(program.output)): path.read_text()
            for path in program.output.rglob("*")
            if path.is_file()
        }
        assert found == {
            "a.txt": "a.txt",
            "copies/one/a.txt": "a.txt",
            "plots/b.txt": "plots/b.txt",
            "plots/deep/c.txt": "plots/deep/c.txt",
        }

    def test_starting_and_ending_runs_changes_nothing(self, program: Program) -> None:
        out, _ = program.run(
            """
            import nacre
            with nacre.start_run("mine") as run:
                nacre.log_metric("x", 1.0)
                print(run.id)
            nacre.log_metric("x", 2.0)
            """
        )
        assert out.strip() == RUN_ID
        assert program.metrics("x") == [(0, 1.0), (1, 2.0)]

    def test_a_call_costs_microseconds(self, program: Program) -> None:
        out, _ = program.run(
            """
            import time, nacre
            nacre.log_metric("x", 1.0)
            best = 1.0
            for _ in range(10):
                start = time.perf_counter()
                for step in range(2000):
                    nacre.log_metric("x", 1.0, step=step)
                best = min(best, (time.perf_counter() - start) / 2000)
            print(best * 1e6)
            """
        )
        assert float(out) < 50  # 5 on a quiet machine

    def test_import_needs_no_dependency(self, program: Program) -> None:
        out, _ = program.run(
            """
            import sys, nacre
            nacre.log_metric
            heavy = {"pydantic", "httpx", "blake3", "numpy", "torch", "typer"} & set(sys.modules)
            print(sorted(heavy), sorted(m for m in sys.modules if m.startswith("nacre.schema")))
            """
        )
        assert out == "[] []\n"


def python_3_8() -> str | None:
    """A Python 3.8, where there is one."""
    try:
        for python in ("python3.8", str(next(Path.home().glob(".pyenv/versions/3.8.*/bin/python")))):
            if subprocess.run([python, "-V"], capture_output=True, check=False).returncode == 0:
                return python
    except (FileNotFoundError, StopIteration):
        pass
    return None


def test_it_works_on_python_3_8(program: Program) -> None:
    python = python_3_8()
    if python is None:
        pytest.skip("there is no Python 3.8 here")
    program.run(
        """
        import nacre
        from nacre.sdk.tracking import digests, files, media, pictures, remote, saving
        nacre.log_metrics({"x": 1.0})
        nacre.log_param("p", "v")
        open("a.txt", "w").write("a")
        nacre.log_artifact("a.txt")
        nacre.log_image("digits", [[0, 255], [1.0, 0]][:1], step=2)
        nacre.log_table([{"a": 1}], "t.json")
        nacre.log_confusion_matrix(["a", "b"], ["a", "a"])
        nacre.log_text("hello", "b.txt")
        """,
        python=python,
    )
    assert [(r.type, r.key) for r in program.records()][:2] == [("m", "x"), ("p", "p")]
    assert (program.output / "images/digits/00000002.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((program.output / "t.json").read_text()) == {"columns": ["a"], "data": [[1]]}
    assert (program.output / "a.txt").read_text() == "a"


class TestOffThePlatform:
    def test_one_warning_then_nothing(self, program: Program) -> None:
        out, err = program.run(
            """
            import nacre
            for n in range(3):
                nacre.log_metric("x", n)
                nacre.log_param("a", "b")
            open("a.txt", "w").write("a")
            nacre.log_artifact("a.txt")
            with nacre.start_run() as run:
                print(run.id)
            """,
            {},
        )
        assert out == "None\n"
        assert err.count("nothing is tracked") == 1
        assert "nacre login" in err

    def test_an_instances_track_file_is_not_a_jobs(self, program: Program) -> None:
        _, err = program.run(
            "import nacre; nacre.log_metric('x', 1)", {"NACRE_TRACK_FILE": str(program.track_file)}
        )
        assert "nothing is tracked" in err
        assert not program.track_file.exists()


@pytest.fixture
def tracking(program: Program) -> Iterator[Tracking]:
    from tests.conftest import people

    from nacre.clock import FixedClock  # the fixtures of both databases are not for these tests

    database = sqlite_in(program.folder)
    crowd: People = people.__wrapped__(database, FixedClock())
    yield wire(database, crowd, program.folder)
    database.close()


class Remote:
    """A program that is signed in to a real server."""

    def __init__(self, program: Program, tracking: Tracking, url: str) -> None:
        self.program, self.tracking, self.url = program, tracking, url
        self.variables = {"NACRE_URL": url, "NACRE_TOKEN": "editor", "NACRE_PROJECT": "vision"}

    def run(self, code: str, **options: Any) -> tuple[str, str]:
        return self.program.run(code, self.variables, **options)

    def runs(self) -> list[Run]:
        return self.tracking.runs.list(self.tracking.people.viewer).items


@pytest.fixture(params=["tcp", "unix"])
def remote(request: pytest.FixtureRequest, program: Program, tracking: Tracking) -> Iterator[Remote]:
    address = ("127.0.0.1", 0) if request.param == "tcp" else program.folder / "api.sock"
    with serving(tracking.app, address) as url:
        yield Remote(program, tracking, url)


class TestOutsideAJob:
    def test_the_first_call_makes_a_run_and_the_end_finishes_it(self, remote: Remote) -> None:
        _, err = remote.run(
            """
            import nacre
            for step in range(1000):
                nacre.log_metric("loss", 1 / (step + 1))
            nacre.log_param("lr", 0.1)
            """
        )
        assert err == ""
        [run] = remote.runs()
        assert (run.name, run.state, run.params) == ("train", RunState.FINISHED, {"lr": "0.1"})
        assert (run.metrics[0].count, run.metrics[0].step) == (1000, 999)

    def test_an_unhandled_exception_fails_it(self, remote: Remote) -> None:
        remote.run("import nacre\nnacre.log_metric('x', 1)\nraise KeyError('oops')", status=1)
        [run] = remote.runs()
        assert (run.state, run.metrics[0].count) == (RunState.FAILED, 1)

    def test_the_notebook_gives_the_name(self, remote: Remote) -> None:
        remote.variables["JPY_SESSION_NAME"] = "work/digits.ipynb"
        remote.run("import nacre; nacre.log_metric('x', 1)")
        assert remote.runs()[0].name == "digits"

    def test_named_runs_one_after_another(self, remote: Remote) -> None:
        out, _ = remote.run(
            """
            import nacre
            with nacre.start_run("one", experiment="digits") as run:
                nacre.log_metric("x", 1)
                print(run.id)
            try:
                with nacre.start_run("two"):
                    nacre.log_metric("x", 2)
                    raise ValueError
            except ValueError:
                pass
            """
        )
        two, one = remote.runs()
        assert (one.name, one.id, one.experiment, one.state) == ("one", out.strip(), "digits", "finished")
        assert (two.name, two.state) == ("two", "failed")
        assert [(run.metrics[0].last, run.metrics[0].step) for run in (one, two)] == [(1.0, 0), (2.0, 0)]

    def test_forked_children_log_to_the_same_run(self, remote: Remote) -> None:
        remote.run(
            """
            import os, nacre
            nacre.log_metric("x", 0)
            children = []
            for number in range(3):
                child = os.fork()
                if child == 0:
                    nacre.log_metric(f"child{number}", number)
                    os._exit(0)
                children.append(child)
            for child in children:
                assert os.waitpid(child, 0)[1] == 0
            """
        )
        [run] = remote.runs()
        assert {m.key: m.count for m in run.metrics} == {"x": 1, "child0": 1, "child1": 1, "child2": 1}
        assert run.state == "finished"

    @pytest.mark.parametrize("missing", ["", "blake3", "blake3 numpy"])
    def test_artifacts_are_sent_with_or_without_blake3(self, remote: Remote, missing: str) -> None:
        remote.run(
            f"""
            import os, sys
            for name in {missing.split()!r}:
                sys.modules[name] = None
            import nacre
            os.makedirs("plots")
            open("plots/a.txt", "w").write("one")
            with open("big.bin", "wb") as stream:
                stream.write(os.urandom({100_000 if "numpy" in missing else 9 * 2**20}))
            nacre.log_artifact("plots")
            nacre.log_artifact("big.bin", "models")
            nacre.log_artifact("big.bin")
            """
        )
        [run] = remote.runs()
        people, runs = remote.tracking.people, remote.tracking.runs
        found = runs.artifacts(people.viewer, run.id).files
        assert [entry.path for entry in found] == ["big.bin", "models/big.bin", "plots/a.txt"]
        _, stream = runs.artifact(people.viewer, run.id, "models/big.bin")
        with stream:
            assert stream.read() == (remote.program.folder / "big.bin").read_bytes()

    def test_a_token_that_is_refused_is_said_once(self, remote: Remote) -> None:
        remote.variables["NACRE_TOKEN"] = "nobody"
        out, err = remote.run("import nacre\nfor n in range(9): nacre.log_metric('x', n)\nprint('done')")
        assert out == "done\n"
        assert err.count("nothing is tracked") == 1
        assert "sign in" in err
        assert remote.runs() == []


class TestServerAway:
    def test_the_program_goes_on_and_what_is_lost_is_said(
        self, program: Program, tracking: Tracking
    ) -> None:
        with serving(tracking.app) as url:
            pass
        out, err = program.run(
            """
            import nacre
            from nacre.sdk.tracking import remote
            remote._LAST_S = 0.5
            for n in range(9):
                nacre.log_metric("x", n)
            print("done")
            """,
            {"NACRE_URL": url, "NACRE_TOKEN": "editor", "NACRE_PROJECT": "vision"},
        )
        assert out == "done\n"
        assert "9 records are lost" in err

    def test_what_waited_arrives_once_when_it_is_back(self, program: Program, tracking: Tracking) -> None:
        socket = program.folder / "api.sock"
        process = program.start(
            """
            import nacre
            for part in range(3):
                for n in range(50):
                    nacre.log_metric("x", n, step=50 * part + n)
                print("logged", flush=True)
                input()
            """,
            {"NACRE_URL": f"unix:{socket}", "NACRE_TOKEN": "editor", "NACRE_PROJECT": "vision"},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "logged\n"  # nobody listens yet
        for _ in range(2):  # a server, and after its end another one
            with serving(tracking.app, socket):
                process.stdin.write("\n")
                process.stdin.flush()
                process.stdout.readline()
                self.wait_for(tracking, 50)
            socket.unlink()
        with serving(tracking.app, socket):
            process.communicate("\n", timeout=60)
        [run] = tracking.runs.list(tracking.people.viewer).items
        assert (run.state, run.metrics[0].count) == (RunState.FINISHED, 150)
        points = tracking.runs.metric(tracking.people.viewer, run.id, "x").points
        assert [point.step for point in points] == list(range(150))

    def wait_for(self, tracking: Tracking, count: int) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            runs = tracking.runs.list(tracking.people.viewer).items
            if runs and runs[0].metrics and runs[0].metrics[0].count >= count:
                return
            time.sleep(0.05)
        raise AssertionError("the records never came")


def test_interrupted_runs_are_killed(program: Program, tracking: Tracking) -> None:
    with serving(tracking.app) as url:
        process = program.start(
            """
            import signal, time, nacre
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
            nacre.log_metric("x", 1)
            print("ready", flush=True)
            time.sleep(600)
            """,
            {"NACRE_URL": url, "NACRE_TOKEN": "editor", "NACRE_PROJECT": "vision"},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    [run] = tracking.runs.list(tracking.people.viewer).items
    assert (run.state, run.metrics[0].count) == (RunState.KILLED, 1)


class TestModels:
    def test_a_scikit_learn_estimator_with_its_signature(self, program: Program) -> None:
        program.run(
            """
            import numpy as np, nacre
            from sklearn.linear_model import LogisticRegression
            x, y = np.eye(4, dtype=np.float32), [0, 1, 0, 1]
            path = nacre.log_model(LogisticRegression().fit(x, y), example=x[:2])
            import joblib
            assert list(joblib.load(path).predict(x)) == y
            print(path)
            """
        )
        signature = json.loads((program.output / "model.joblib.signature.json").read_text())
        assert signature == {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}
        assert sorted(path.name for path in program.output.iterdir()) == [
            "model.joblib",
            "model.joblib.signature.json",
        ]

    def test_other_things_are_refused_by_name(self, program: Program) -> None:
        out, _ = program.run(
            """
            import nacre
            for model in (object(), {"a": 1}, None):
                try: nacre.log_model(model)
                except TypeError as error: print(error)
            """
        )
        assert (
            out.count("log_model takes a torch.nn.Module, a Keras model or a scikit-learn estimator") == 3
        )
        assert list(program.output.iterdir()) == []

    def test_examples_of_several_inputs(self) -> None:
        import numpy as np

        from nacre.sdk.tracking.saving import signature_of

        images, sizes = np.zeros((2, 3, 8, 8), np.uint8), np.zeros((2,), np.int64)
        found = signature_of(None, "sklearn", {"image": images, "size": sizes})["inputs"]
        assert found == [
            {"name": "image", "datatype": "UINT8", "shape": [-1, 3, 8, 8]},
            {"name": "size", "datatype": "INT64", "shape": [-1]},
        ]
        pair = signature_of(None, "sklearn", (images, sizes))["inputs"]
        assert [spec["name"] for spec in pair] == ["input_0", "input_1"]
        for bad in (3.0, [1, 2], np.float32(1), np.zeros(2, np.complex64)):
            with pytest.raises((TypeError, ValueError), match="example: x"):
                signature_of(None, "sklearn", bad)
