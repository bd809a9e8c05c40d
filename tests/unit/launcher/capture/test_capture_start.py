"""The start of a Python process in a job: what is loaded, when nothing is, and whose turn comes after."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.capture_kit import RUN_ID, Job

from nacre.launcher.capture.hook import Finder
from nacre.launcher.capture.sink import followed
from nacre.launcher.capture.start import DATASETS, WATCHED, captures
from nacre.plugins.environments.machine import find_python

FINDERS = "import sys\nprint([type(f).__name__ for f in sys.meta_path].count('Finder'))\n"
IN_A_JOB = {"NACRE_CAPTURE": "on", "NACRE_RUN_ID": RUN_ID, "NACRE_TRACK_FILE": "/t"}


def test_a_process_of_a_job_watches_and_has_loaded_nothing_else(job: Job) -> None:
    bare = "import sys\nprint(*sorted(sys.modules))\n"
    with_capture = job.run(bare).done.stdout.split()
    without = job.run(bare, variables={"PYTHONPATH": ""}).done.stdout.split()
    assert set(with_capture) - set(without) <= {"sitecustomize"}
    assert job.run(FINDERS).done.stdout == "1\n"


@pytest.mark.parametrize(
    ("variables", "true"),
    [
        ({}, True),
        ({"NACRE_RANK": "0", "RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"NACRE_CAPTURE": "off"}, False),
        ({"NACRE_CAPTURE": ""}, False),
        ({"NACRE_RUN_ID": ""}, False),
        ({"NACRE_TRACK_FILE": ""}, False),
        ({"NACRE_RANK": "1"}, False),
        ({"RANK": "3"}, False),
        ({"LOCAL_RANK": "1"}, False),
    ],
)
def test_only_the_first_process_of_a_job_with_capture_on_reports(
    variables: dict[str, str], true: bool
) -> None:
    assert captures(IN_A_JOB | variables) is true


def test_capture_off_leaves_python_as_it_was(job: Job) -> None:
    assert job.run(FINDERS, variables={"NACRE_CAPTURE": "off"}).done.stdout == "0\n"


def test_data_sets_by_name_work_with_capture_off(job: Job) -> None:
    variables = {"NACRE_CAPTURE": "off", "NACRE_DATASET_MANIFEST": "/m"}
    assert job.run(FINDERS, variables=variables).done.stdout == "1\n"
    assert not set(WATCHED) & set(DATASETS)


def test_the_sitecustomize_behind_ours_has_its_turn(job: Job) -> None:
    theirs = job.folder / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("import builtins\nbuiltins.mine = __file__\n")
    program = "import sitecustomize\nprint(mine == sitecustomize.__file__, mine)\n"
    reported = job.run(program, variables={"PYTHONPATH": f"{job.site}:{theirs}"})
    assert reported.done.stdout.split() == ["True", str(theirs / "sitecustomize.py")]
    reported = job.run(FINDERS, variables={"PYTHONPATH": f"{job.site}:{theirs}"})
    assert reported.done.stdout == "1\n"


def test_an_error_in_the_sitecustomize_behind_ours_is_reported_as_without_us(job: Job) -> None:
    theirs = job.folder / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("raise ValueError('theirs')\n")
    alone = job.run("print(1)", variables={"PYTHONPATH": str(theirs)})
    chained = job.run("print(1)", variables={"PYTHONPATH": f"{job.site}:{theirs}"})
    assert chained.done.stderr == alone.done.stderr != ""
    assert chained.done.stdout == "1\n"


def test_a_broken_site_is_one_line(job: Job, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(job.site, broken)
    for path in (broken / "nacre" / "launcher" / "capture").rglob("hook*"):
        path.unlink()
    reported = job.run("print(1)", variables={"PYTHONPATH": str(broken)})
    assert reported.done.stdout == "1\n"
    assert len(reported.complaints) == 1
    assert reported.complaints[0].startswith("[nacre] nothing is captured: FileNotFoundError")


def test_processes_that_a_program_starts_watch_too(job: Job) -> None:
    program = """
        import multiprocessing, sys

        def count(_):
            return [type(f).__name__ for f in sys.meta_path].count("Finder")

        if __name__ == "__main__":
            for method in ("spawn", "fork"):
                with multiprocessing.get_context(method).Pool(1) as pool:
                    print(pool.map(count, [0]))
        """
    assert job.run(program).done.stdout.split() == ["[1]", "[1]"]


def test_the_program_may_switch_capture_off_itself(job: Job) -> None:
    program = """
        import os
        os.environ["NACRE_CAPTURE"] = "off"
        from sklearn.linear_model import LinearRegression
        LinearRegression().fit([[0], [1]], [0, 1])
        """
    assert job.run(program).records == []


@pytest.mark.parametrize("minor", ["3.8", "3.9", "3.10", "3.12", "3.13"])
def test_every_python_from_3_8_on_captures(job: Job, minor: str) -> None:
    """A framework of two lines in the place of LightGBM, which is patched by changing two functions."""
    engine = job.folder / "lightgbm" / "engine.py"
    engine.parent.mkdir()
    (engine.parent / "__init__.py").write_text("from .engine import train\n")
    engine.write_text(
        "class Env: pass\n"
        "def train(params, callbacks=None):\n"
        "    for step in range(3):\n"
        "        env = Env()\n"
        "        env.params, env.iteration = params, step\n"
        "        env.evaluation_result_list = [('valid_0', 'l2', 0.5 ** step, False)]\n"
        "        for callback in callbacks or ():\n"
        "            callback(env)\n"
    )
    found = find_python(minor, os.environ)
    if found is None:
        pytest.skip(f"there is no Python {minor} here")
    reported = Job(job.site, job.folder, Path(found.program)).run(
        "import lightgbm\nlightgbm.train({'eta': 0.1})\n",
        variables={"PYTHONPATH": f"{job.site}:{job.folder}"},
    )
    assert reported.complaints == []
    assert reported.curve("valid_0-l2") == [(0, 1.0), (1, 0.5), (2, 0.25)]
    assert reported.params == {"eta": "0.1"}


def test_every_module_of_capture_loads_in_python_3_8(job: Job) -> None:
    found = find_python("3.8", os.environ)
    if found is None:
        pytest.skip("there is no Python 3.8 here")
    names = sorted({*WATCHED.values(), *DATASETS.values()})
    imports = "".join(f"import nacre.launcher.capture.{name}\n" for name in names)
    assert Job(job.site, job.folder, Path(found.program)).run(imports + "print(1)\n").done.stdout == "1\n"


def test_event_files_are_followed_below_the_programs_folders_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("/")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder({})])
    monkeypatch.setenv("NACRE_OUTPUT_DIR", "/nowhere/output")
    assert followed("lightning_logs/version_0")
    assert followed(Path("/nowhere/output/tb"))
    assert not followed("/nowhere/outputs")
    assert not followed("link/tmp")
    assert not followed(None)
