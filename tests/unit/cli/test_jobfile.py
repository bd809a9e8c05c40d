"""From the command line or a YAML file to a spec, before anything is sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nacre.cli.jobfile import from_command, from_file, inputs, variables
from nacre.errors import InvalidSpec, NotFound
from nacre.schema.jobs import JobSpec


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    for name in ("train.py", "go.sh", "src/deep model.py"):
        (tmp_path / name).write_text("")
    return tmp_path


class TestCommand:
    @pytest.mark.parametrize(
        ("script", "arguments", "expected"),
        [
            ("train.py", ["--epochs", "5"], "python train.py --epochs 5"),
            ("./train.py", ["a b", "$X"], "python train.py 'a b' '$X'"),
            ("go.sh", [], "sh go.sh"),
            ("src/deep model.py", [], "python 'src/deep model.py'"),
            ("python", ["-m", "train"], "python -m train"),
        ],
    )
    def test_scripts_and_programs(
        self, code: Path, script: str, arguments: list[str], expected: str
    ) -> None:
        draft = from_command(script, arguments, code)
        assert draft.spec().commands == [expected]
        assert draft.folder == code

    def test_a_program_in_an_empty_folder_needs_no_code(self, tmp_path: Path) -> None:
        assert from_command("python", ["-c", "print(1)"], tmp_path).folder is None

    def test_an_absolute_path_inside_is_made_relative(self, code: Path) -> None:
        assert from_command(str(code / "train.py"), [], code).spec().commands == ["python train.py"]

    def test_a_script_that_is_not_there(self, code: Path) -> None:
        with pytest.raises(NotFound, match=r"no script trian\.py"):
            from_command("trian.py", [], code)

    def test_a_script_outside_of_the_code(self, code: Path, tmp_path: Path) -> None:
        outside = tmp_path.parent / f"{tmp_path.name}-outside.py"
        outside.write_text("")
        with pytest.raises(InvalidSpec, match="outside of the code folder"):
            from_command(str(outside), [], code)


class TestFile:
    def write(self, folder: Path, text: str) -> Path:
        path = folder / "job.yaml"
        path.write_text(text)
        return path

    def test_the_fields_of_dstack(self, code: Path) -> None:
        path = self.write(
            code,
            "type: task\nname: digits\ncommands: [pip list, python train.py]\nenv: {A: '1'}\n"
            "max_duration: 1h30m\nresources: {gpu: 'H100:2', memory: 32GB, shm_size: 8GB}\n",
        )
        draft = from_file(path)
        spec = draft.spec()
        assert draft.folder == code
        assert spec.commands == ["pip list", "python train.py"]
        assert (spec.resources.gpu, spec.resources.gpu_name) == (2, "H100")
        assert (spec.max_duration, spec.resources.memory) == (5400, 32 * 2**30)

    @pytest.mark.parametrize(
        "text",
        [
            # SkyPilot
            "name: x\nrun: python train.py\nenvs: {A: '1'}\nresources: {accelerators: 'H100:1', cpus: 4}\n",
            # Determined
            "name: x\nentrypoint: python train.py\nmax_restarts: 3\nlabels: {A: b}\n",
            # Azure ML
            "$schema: https://x\ntype: command\ncommand: python train.py\ndisplay_name: x\n"
            "experiment_name: digits\nenvironment_variables: {A: '1'}\ncode: src\n"
            "inputs: {train: {type: uri_folder, path: 'digits@1', mode: ro_mount}}\n"
            "limits: {timeout: 60}\n",
        ],
    )
    def test_words_of_other_platforms(self, code: Path, text: str) -> None:
        spec = from_file(self.write(code, text)).spec()
        assert (spec.name, spec.commands) == ("x", ["python train.py"])

    def test_code_names_a_folder_beside_the_file(self, code: Path) -> None:
        draft = from_file(self.write(code, "command: 'true'\ncode: ./src\n"))
        assert draft.folder == code / "src"

    def test_a_digest_is_code_that_was_sent_before(self, code: Path) -> None:
        draft = from_file(self.write(code, f"command: 'true'\ncode: {'a' * 64}\n"))
        assert (draft.folder, draft.spec().code) == (None, "a" * 64)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("commands: [", "is not YAML"),
            ("- a\n- b\n", "does not describe a job"),
            ("", "does not describe a job"),
            ("name: x\n", "commands"),
            ("command: x\ncomand: y\n", "comand"),
            ("command: x\nresources: {memory: much}\n", "is not a size"),
            ("command: x\nmax_duration: soon\n", "is not a duration"),
        ],
    )
    def test_what_is_wrong_is_named(self, code: Path, text: str, said: str) -> None:
        with pytest.raises(InvalidSpec, match=said):
            from_file(self.write(code, text)).spec()

    def test_a_file_that_is_not_there(self, code: Path) -> None:
        with pytest.raises(NotFound, match="there is no file"):
            from_file(code / "nothing.yaml")


def test_variables_come_from_the_line_or_the_shell() -> None:
    assert variables(["A=1", "B=x=y", "HOME"], {"HOME": "/h"}) == {"A": "1", "B": "x=y", "HOME": "/h"}
    with pytest.raises(InvalidSpec, match="no such variable"):
        variables(["NOTHING"], {})


def test_data_is_called_after_the_dataset_or_as_one_likes() -> None:
    assert inputs(["digits", "mnist@3", "test=digits@2,as=keras:mnist"]) == {
        "digits": {"path": "digits"},
        "mnist": {"path": "mnist@3"},
        "test": {"path": "digits@2", "as": "keras:mnist"},
    }
    for wrong in ("digits,keras:mnist", "digits,as=", "digits,to=x"):
        with pytest.raises(InvalidSpec, match="as=keras:mnist"):
            inputs([wrong])


def test_the_example_and_the_fields_of_the_page_are_those_of_jobs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "howto" / "jobs.md").read_text()
    (tmp_path / "job.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0])
    spec = from_file(tmp_path / "job.yaml").spec()
    assert spec.inputs["labels"].type == "uri_file"
    assert spec.commands == ["python train.py --data ${{inputs.train}} --out ${{outputs}}"]
    named = set(re.findall(r"`([a-z_]+)`", page.partition("| field |")[2].partition("```yaml")[0]))
    assert set(JobSpec.model_fields) <= named
