"""Converters given a file that no run of the project left: data is converted, code does not run."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
from tests.unit.workloads.conftest import Framework

from nacre.workloads import pickles


class Evil:
    """A pickle of it creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


class TestGuard:
    @pytest.mark.parametrize("load", [pickle.load, lambda s: pickle._Unpickler(s).load()])  # type: ignore[attr-defined]
    def test_nothing_is_looked_up_while_it_is_on(self, tmp_path: Path, load: object) -> None:
        data = pickle.dumps(Evil(tmp_path / "was-here"))
        assert callable(load)
        with pickles.refused(True), pytest.raises(pickles.PickleRefused, match="pathlib"):
            load(io.BytesIO(data))
        assert not (tmp_path / "was-here").exists()

    def test_plain_data_is_no_code(self) -> None:
        with pickles.refused(True):
            assert pickle.loads(pickle.dumps({"a": [1, 2.5]})) == {"a": [1, 2.5]}

    def test_it_is_off_afterwards_and_for_what_is_trusted(self, tmp_path: Path) -> None:
        data = pickle.dumps(Evil(tmp_path / "was-here"))
        with pickles.refused(True):
            pass
        with pickles.refused(False):
            pickle.loads(data)
        assert (tmp_path / "was-here").exists()

    def test_the_sentence_is_found_behind_other_errors(self) -> None:
        try:
            try:
                raise pickles.PickleRefused("os.system")
            except pickles.PickleRefused as error:
                raise RuntimeError("wrapped") from error
        except RuntimeError as error:
            said = pickles.sentence("m.pt", error)
        assert said is not None
        assert "pickle (of os.system)" in said
        assert pickles.sentence("m.pt", ValueError("other")) is None


EVIL = """
import pathlib

class Evil:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("was-here"),)
"""


@pytest.mark.framework
class TestPytorch:
    def test_scripts_and_programs_convert(self, pytorch: Framework) -> None:
        pytorch.script("""
            import torch
            net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).eval()
            torch.jit.script(net).save("script.pt")
            batch = torch.export.Dim("batch", min=1)
            program = torch.export.export(net, (torch.zeros(2, 2),), dynamic_shapes=({0: batch},))
            torch.export.save(program, "net.pt2")
        """)
        spec = '[{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]'
        for name in ("script.pt", "net.pt2"):
            done = pytorch.convert("pytorch", "--model", name, "--inputs", spec, "--untrusted")
            assert done.inputs == [("x", "FP32", [-1, 2])], name

    def test_what_would_run_code_does_not(self, pytorch: Framework) -> None:
        pytorch.script(
            EVIL
            + """
import io, zipfile, torch
net = torch.nn.Linear(2, 3).eval()
torch.save(net, "module.pt")
torch.save(Evil(), "evil.pt")
torch.export.save(torch.export.export(net, (torch.zeros(2, 2),)), "whole.pt2")
bad = io.BytesIO(); torch.save((Evil(),), bad)
with zipfile.ZipFile("whole.pt2") as old, zipfile.ZipFile("evil.pt2", "w") as new:
    for name in old.namelist():
        data = bad.getvalue() if "sample_inputs" in name else old.read(name)
        new.writestr(name.replace("whole/", "evil/"), data)
"""
        )
        for name in ("module.pt", "evil.pt", "evil.pt2"):
            done = pytorch.convert("pytorch", "--model", name, "--untrusted")
            assert "is, or holds, a pickle" in done.refusal, name
            assert not (pytorch.folder / "was-here").exists(), name
        pytorch.convert("pytorch", "--model", "evil.pt2")
        assert (pytorch.folder / "was-here").exists()  # so it is the guard that kept it from running


@pytest.mark.framework
class TestSklearn:
    def test_pickles_are_refused(self, sklearn: Framework) -> None:
        sklearn.script(
            EVIL
            + """
import joblib
joblib.dump(Evil(), "evil.joblib")
"""
        )
        done = sklearn.convert("sklearn", "--model", "evil.joblib", "--untrusted")
        assert "is, or holds, a pickle" in done.refusal
        assert not (sklearn.folder / "was-here").exists()


@pytest.mark.framework
class TestKeras:
    def test_a_model_converts(self, keras: Framework) -> None:
        keras.script("""
            import keras
            net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
            net.save("net.keras")
        """)
        assert keras.convert("keras", "--model", "net.keras", "--untrusted").inputs[0][2] == [-1, 2]

    def test_a_lambda_is_not_run(self, keras: Framework) -> None:
        keras.script("""
            import keras, pathlib
            layer = keras.layers.Lambda(lambda x: (pathlib.Path("was-here").touch(), x)[1])
            keras.Sequential([keras.Input((2,)), layer]).save("net.keras")
            pathlib.Path("was-here").unlink()
        """)
        assert "Lambda" in keras.convert("keras", "--model", "net.keras", "--untrusted").refusal
        assert not (keras.folder / "was-here").exists()
