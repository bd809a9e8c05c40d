"""Media from users' programs: files that sort, that others can read, and clear words about wrong ones."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacre
from nacre.sdk import track
from nacre.sdk.tracking import media, pictures


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output folder of a job that this process is."""
    monkeypatch.setenv("NACRE_TRACK_FILE", str(tmp_path / "track.jsonl"))
    monkeypatch.setenv("NACRE_RUN_ID", "0" * 32)
    monkeypatch.setenv("NACRE_OUTPUT_DIR", str(tmp_path / "output"))
    monkeypatch.setattr(track._State, "sink", None)
    monkeypatch.setattr(track._State, "steps", {})
    monkeypatch.setattr(track._State, "tables", {})
    return tmp_path / "output"


def kept(output: Path) -> list[str]:
    return sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())


def decode(path: Path) -> tuple[int, int, int, bytes]:
    """(width, height, colour type, samples) of a PNG without filters; checks every checksum."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, found = 8, {}
    while at < len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        found[kind] = body
        at += 12 + size
    width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", found[b"IHDR"])
    assert depth == 8
    rows = zlib.decompress(found[b"IDAT"])
    stride = len(rows) // height
    assert all(rows[n * stride] == 0 for n in range(height))
    return width, height, colour, b"".join(rows[n * stride + 1 : (n + 1) * stride] for n in range(height))


class Tensor:
    """As PyTorch's, from afar."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def tolist(self) -> Any:
        return self.array.tolist()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.array


GREY = np.arange(6, dtype=np.uint8).reshape(2, 3)
RGB = np.arange(30, dtype=np.uint8).reshape(2, 5, 3)


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (GREY, (3, 2, 0, GREY.tobytes())),
        (GREY.tolist(), (3, 2, 0, GREY.tobytes())),
        (GREY.astype(np.int64), (3, 2, 0, GREY.tobytes())),
        (GREY[:, :, None], (3, 2, 0, GREY.tobytes())),
        (GREY / 255, (3, 2, 0, GREY.tobytes())),
        ((GREY / 255).astype(np.float16), (3, 2, 0, GREY.tobytes())),
        (GREY > 2, (3, 2, 0, b"\0\0\0\xff\xff\xff")),
        (RGB, (5, 2, 2, RGB.tobytes())),
        (RGB.tolist(), (5, 2, 2, RGB.tobytes())),
        (RGB.transpose(2, 0, 1), (5, 2, 2, RGB.tobytes())),
        (np.zeros((5, 4, 4), np.uint8), (4, 5, 6, bytes(80))),
        (Tensor(np.zeros((3, 4, 3), np.float32)), (3, 4, 2, bytes(36))),
        (Tensor(np.ones((1, 2, 2), np.float32)), (2, 2, 0, b"\xff" * 4)),
        ([[0.0, 1.0]], (2, 1, 0, b"\x00\xff")),
        ([[True, False]], (2, 1, 0, b"\xff\x00")),
    ],
)
def test_arrays_and_tensors_become_png(image: Any, wanted: tuple[Any, ...], output: Path) -> None:
    nacre.log_image("sample", image)
    assert decode(output / "images/sample/00000000.png") == wanted


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((2, 3, 5)), "no image"),
        (np.zeros((8, 3, 32, 32)), "one by one"),
        (np.zeros(7), "no image"),
        (np.zeros((0, 3)), "pixels"),
        (GREY * 1.0 + 3, "divide by 255"),
        (GREY - 1.0, "0 to 1"),
        (np.full((2, 2), np.nan), "nan"),
        (GREY.astype(int) + 300, "0 to 255"),
        (GREY.astype(int) - 3, "0 to 255"),
        ([[1, 2], [3]], "equally long"),
        ([[0.5, float("nan")]], "0 to 1"),
    ],
)
def test_wrong_shapes_and_ranges_are_named(
    image: Any, words: str, monkeypatch: Any, tmp_path: Path
) -> None:
    lists = isinstance(image, list)
    if lists:
        monkeypatch.delitem(sys.modules, "numpy")  # nested lists are NumPy's business where it is there
    with pytest.raises((TypeError, ValueError), match=words):
        pictures.save(image, str(tmp_path / "x.png"))
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("image", ["a.png", None, {"a": 1}, object(), np.array([["a"]])])
def test_what_is_no_image_is_a_type_error(image: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        pictures.save(image, str(tmp_path / "x.png"))


def test_an_image_of_pil_writes_itself_in_the_format_of_its_path(output: Path) -> None:
    class Picture:
        mode = "RGBA"

        def convert(self, mode: str) -> Picture:
            self.mode = mode
            return self

        def save(self, path: str) -> None:
            Path(path).write_text(f"{self.mode} {Path(path).suffix}")

    nacre.log_image(Picture(), "plots/a.jpg")
    assert (output / "plots/a.jpg").read_text() == "RGB .jpg"


def test_an_array_is_no_jpeg_without_pil(output: Path) -> None:
    with pytest.raises(ValueError, match=r"use \.png"):
        nacre.log_image(GREY, "a.jpg")
    assert kept(output) == []


def test_names_follow_the_key_and_sort_by_step(output: Path) -> None:
    for step in (0, 9, 10, 100_000):
        nacre.log_image("train/samples", GREY, step=step)
    nacre.log_image(GREY, key="own", step=np.int64(2))
    nacre.log_image("own2", GREY)
    nacre.log_image("own2", GREY)
    nacre.log_image("own2", GREY, 7)
    nacre.log_image(GREY, "plots/a.png")
    nacre.log_image("plots/b.png", GREY, step=3)
    nacre.log_text("hello", "notes.md")
    nacre.log_table({"a": [1]}, "t")
    nacre.log_table("t", {"a": [1]}, step=1)
    nacre.log_confusion_matrix([0], [0])
    nacre.log_confusion_matrix([0], [0], path="plots/cm.json")
    nacre.log_confusion_matrix([0], [0], key="val", step=4)
    assert kept(output) == [
        "confusion/confusion_matrix.json",
        "confusion/val/00000004.json",
        "images/own/00000002.png",
        "images/own2/00000000.png",
        "images/own2/00000001.png",
        "images/own2/00000007.png",
        *(f"images/train/samples/{step:08d}.png" for step in (0, 9, 10, 100_000)),
        "notes.md",
        "plots/a.png",
        "plots/b/00000003.png",
        "plots/cm.json",
        "tables/t.json",
        "tables/t/00000001.json",
    ]
    assert (output / "notes.md").read_text() == "hello"


@pytest.mark.parametrize(
    "name", ["../a.png", "/a.png", "a//b.png", "a/../b", "", "./k", "n" * 300 + ".png", "\0.png"]
)
def test_names_that_lead_out_of_the_run_are_refused(name: str, output: Path) -> None:
    with pytest.raises(ValueError, match="inside the run"):
        nacre.log_image(GREY, name)
    assert not output.exists()


def test_names_and_steps_must_be_clear(output: Path) -> None:
    for wrong in (
        lambda: nacre.log_image(GREY),
        lambda: nacre.log_image(GREY, "a.png", key="k"),
        lambda: nacre.log_image("k", GREY, step=-1),
        lambda: nacre.log_table({"a": 1}, "a.csv"),
    ):
        with pytest.raises(ValueError, match=r"name|step|\.json"):
            wrong()
    for odd in (1.5, "1"):
        with pytest.raises(TypeError, match="whole number"):
            nacre.log_image(GREY, key="k", step=odd)  # type: ignore[arg-type]
    assert kept(output) == [] if output.exists() else True


class TestFigures:
    def test_matplotlib_draws_itself_and_gets_its_options(self, output: Path) -> None:
        class Figure:
            def savefig(self, path: str, **options: Any) -> None:
                Path(path).write_text(f"{Path(path).suffix} {options}")

        class Axes:
            figure = Figure()

        nacre.log_figure(Figure(), "plots/roc.svg", save_kwargs={"dpi": 10})
        nacre.log_figure("roc", Figure(), step=1)
        nacre.log_figure(Axes(), "axes")
        assert (output / "plots/roc.svg").read_text() == ".svg {'dpi': 10}"
        assert kept(output) == ["figures/axes.png", "figures/roc/00000001.png", "plots/roc.svg"]

    def test_plotly_becomes_a_page(self, output: Path) -> None:
        class Figure:
            def to_html(self, **options: Any) -> str:
                return f"<html>{options}"

        nacre.log_figure(Figure(), "loss")
        assert (output / "figures/loss.html").read_text() == "<html>{}"
        with pytest.raises(ValueError, match=r"\.html only"):
            nacre.log_figure(Figure(), "loss.png")
        assert kept(output) == ["figures/loss.html"]

    def test_anything_else_is_refused(self, output: Path) -> None:
        with pytest.raises(TypeError, match="log_artifact"):
            nacre.log_figure(object(), "a.png")


class TestTables:
    @pytest.mark.parametrize(
        "data",
        [
            {"a": [1, 2], "b": ["x", None]},
            [{"a": 1, "b": "x"}, {"a": 2}],
            {"a": np.array([1, 2]), "b": ("x", None)},
        ],
    )
    def test_columns_and_rows_make_the_same_table(self, data: Any) -> None:
        assert media.table(data) == {"columns": ["a", "b"], "data": [[1, "x"], [2, None]]}

    def test_a_data_frame_is_asked_for_its_split_form(self) -> None:
        class Frame:
            columns = ("a",)

            def to_dict(self, orient: str) -> dict[str, Any]:
                assert orient == "split"
                return {"index": [0], "columns": ["a"], "data": [[np.float32(0.5)]]}

        assert media.table(Frame()) == {"columns": ["a"], "data": [[0.5]]}

    def test_rows_get_names(self) -> None:
        assert media.table(np.eye(2)) == {"columns": ["0", "1"], "data": [[1, 0], [0, 1]]}
        assert media.table([[1, 2]], ["x", "y"]) == {"columns": ["x", "y"], "data": [[1, 2]]}
        assert media.table({"loss": 0.5, "n": 3}) == {"columns": ["loss", "n"], "data": [[0.5, 3]]}

    def test_cells_are_json(self) -> None:
        class Odd:
            def __str__(self) -> str:
                return "odd"

        row = [
            float("nan"),
            float("inf"),
            np.bool_(True),
            np.arange(2),
            {"k": np.float64(1)},
            Odd(),
            10**20,
        ]
        table = media.table([row])
        assert table["data"] == [[None, None, True, [0, 1], {"k": 1.0}, "odd", 10**20]]
        json.dumps(table, allow_nan=False)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            ({"a": [1], "b": [1, 2]}, "equally long"),
            (3, "data frame"),
            ([1, 2], "several cells"),
            ([[1], [1, 2]], "row 1"),
        ],
    )
    def test_what_is_no_table_is_said(self, data: Any, words: str) -> None:
        with pytest.raises((TypeError, ValueError), match=words):
            media.table(data)

    def test_mlflow_finds_the_table_by_the_runs_tag(self, output: Path) -> None:
        nacre.log_table({"a": [1]}, "t.json")
        nacre.log_table({"a": [1]}, "u.json")
        lines = (output.parent / "track.jsonl").read_text().splitlines()
        tag = json.loads(lines[-1])
        assert tag["key"] == "mlflow.loggedArtifacts"
        assert '{"path": "t.json", "type": "table"}' in tag["text"]
        assert '{"path": "u.json", "type": "table"}' in tag["text"]


class TestConfusion:
    def test_rows_are_what_is_true(self) -> None:
        found = media.confusion(["cat", "cat", "dog"], ["dog", "cat", "dog"])
        assert found == {
            "type": "confusion_matrix",
            "labels": ["cat", "dog"],
            "confusion": [[1, 1], [0, 1]],
        }

    def test_scores_are_classes_and_labels_name_them(self) -> None:
        scores = np.array([[0.9, 0.1, 0.0], [0.1, 0.2, 0.7]])
        found = media.confusion(np.array([0, 1]), scores, labels=["a", "b", "c"])
        assert found["labels"] == ["a", "b", "c"]
        assert found["confusion"] == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]

    def test_labels_give_the_order(self) -> None:
        assert media.confusion([1, 0], [1, 1], labels=[1, 0])["confusion"] == [[1, 0], [1, 0]]

    def test_a_finished_matrix_stays(self) -> None:
        found = media.confusion(np.array([[3, 1], [0, 2]]), labels=["n", "y"])
        assert (found["labels"], found["confusion"]) == (["n", "y"], [[3, 1], [0, 2]])

    @pytest.mark.parametrize(
        ("truth", "predicted", "labels", "words"),
        [
            ([0], [0, 1], None, "as many"),
            (["x"], ["y"], ["x"], "none of the labels"),
            ([[1, 2]], None, None, "square"),
            ([[1]], None, ["a", "b"], "2 labels"),
            ([], [], None, "1 to"),
            (3, [1], None, "list"),
        ],
    )
    def test_what_makes_no_matrix_is_said(
        self, truth: Any, predicted: Any, labels: Any, words: str
    ) -> None:
        with pytest.raises((TypeError, ValueError), match=words):
            media.confusion(truth, predicted, labels)


def test_off_the_platform_there_is_one_warning_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import nacre\n"
        "for n in range(2):\n"
        "    nacre.log_image('k', [[0, 1]])\n    nacre.log_text('a', 'a.txt')\n"
        "    nacre.log_table({'a': 1}, 't')\n"
    )
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(nacre.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count("nothing is tracked") == 1
    assert list(tmp_path.iterdir()) == []
