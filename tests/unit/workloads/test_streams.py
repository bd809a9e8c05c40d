"""Data read a few samples at a time is the data, from wherever the reading begins."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.workloads.conftest import Framework

from nacre.workloads.arrays import DataError
from nacre.workloads.streams import open_stream

X = [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
TWO = [
    {"name": "age", "datatype": "INT64", "shape": [-1]},
    {"name": "text", "datatype": "BYTES", "shape": [-1, 1]},
]

BYTE = [{"name": "x", "datatype": "INT8", "shape": [-1]}]


def samples(rows: int = 10) -> Any:
    return np.arange(rows * 3, dtype=np.float32).reshape(rows, 3) + 1


def whole(folder: Path, inputs: Any = X, features: Any = (), start: int = 0, size: int = 4) -> Any:
    """Everything from ``start`` on, each part where it says that it is."""
    at, found = start, []
    for part in open_stream(folder, inputs, features).read(start, size):
        assert (part.start, len(part) <= size) == (at, True)
        at += len(part)
        found.append(part.feed)
    return {spec["name"]: np.concatenate([feed[spec["name"]] for feed in found]) for spec in inputs}


class TestArrays:
    @given(
        rows=st.integers(1, 40),
        start=st.integers(0, 39),
        size=st.integers(1, 50),
        packed=st.booleans(),
        order=st.sampled_from("CF"),
        dtype=st.sampled_from(["<f4", ">f8", "<i2", "|u1"]),
    )
    @settings(max_examples=60)
    def test_from_any_row_in_any_steps(
        self, tmp_path_factory: Any, rows: int, start: int, size: int, packed: bool, order: Any, dtype: str
    ) -> None:
        folder = tmp_path_factory.mktemp("data")
        x = np.array(samples(rows), dtype=dtype, order=order)
        (np.savez_compressed if packed else np.savez)(folder / "d.npz", x=x, y=np.zeros(rows))
        start = min(start, rows - 1)
        np.testing.assert_array_equal(whole(folder, start=start, size=size)["x"], samples(rows)[start:])

    def test_files_side_by_side(self, tmp_path: Path) -> None:
        np.save(tmp_path / "age.npy", np.arange(5))
        np.save(tmp_path / "text.npy", np.array(list("abcde")))
        found = whole(tmp_path, TWO, start=1, size=3)
        assert found["age"].tolist() == [1, 2, 3, 4]
        assert found["text"].tolist() == [["b"], ["c"], ["d"], ["e"]]

    def test_a_single_input_takes_the_usual_name_or_the_only_array(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", images=samples(), other=samples() * 2)
        np.testing.assert_array_equal(whole(tmp_path)["x"], samples())
        np.testing.assert_array_equal(whole(tmp_path, features=["other"])["x"], samples() * 2)
        np.savez(tmp_path / "d.npz", whatever=samples())
        np.testing.assert_array_equal(whole(tmp_path)["x"], samples())

    @pytest.mark.parametrize(
        ("saved", "inputs", "features", "said"),
        [
            ({"a": samples(), "b": samples()}, X, (), "no array for the model's input 'x': it has a, b"),
            ({"age": np.arange(3)}, TWO, (), "no array for the model's input 'text'"),
            ({"x": samples()}, X, ["z"], "no array 'z': the data has x"),
            ({"x": samples()}, X, ["x", "x"], "takes 1 inputs"),
            ({"x": np.zeros((4, 5))}, X, (), r"input 'x': the model takes samples of shape \[3\], .*\[5\]"),
            ({"age": np.arange(3), "text": np.array(["a"])}, TWO, (), "age has 3 samples but text has 1"),
            ({"x": np.zeros((0, 3))}, X, (), "has no samples"),
            (
                {"x": np.array([["1", "2", "3"], ["4", "5", "c"]])},
                X,
                (),
                "x in d.npz, row 1 .*: the input 'x' takes FP32, which 'c' is not",
            ),
            (
                {"age": [1.0, 2.5], "text": ["a", "b"]},
                TWO,
                (),
                "age in d.npz, row 1 .* which '2.5' is not",
            ),
            ({"x": [1, 300]}, BYTE, (), "row 1 .* takes INT8, which '300' is not"),
            ({"x": [1.0, 2.0, np.nan]}, BYTE, (), "row 2 .* takes INT8, which 'nan' is not"),
        ],
    )
    def test_what_does_not_fit_is_said(
        self, tmp_path: Path, saved: Any, inputs: Any, features: Any, said: str
    ) -> None:
        np.savez(tmp_path / "d.npz", **saved)
        with pytest.raises(DataError, match=said):
            whole(tmp_path, inputs, features)

    def test_objects_are_not_unpickled(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", x=np.array([{}, {}], dtype=object))
        with pytest.raises(DataError, match="Python objects"):
            whole(tmp_path)
        (tmp_path / "d.npz").unlink()
        np.save(tmp_path / "x.npy", np.array([{}], dtype=object))
        with pytest.raises(DataError, match="cannot be read"):
            whole(tmp_path)

    def test_a_file_that_ends_early_is_no_short_data(self, tmp_path: Path) -> None:
        stream = io.BytesIO()
        np.save(stream, samples())
        with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
            archive.writestr("x.npy", stream.getvalue()[:-4])
        with pytest.raises(DataError, match=r"ends in the middle of x\.npy"):
            whole(tmp_path)
        (tmp_path / "d.npz").write_bytes(b"PK\x03\x04nothing")
        with pytest.raises(DataError, match="cannot be read"):
            whole(tmp_path)


class TestTables:
    def table(self, rows: int = 10, **more: Any) -> Any:
        columns = {name: samples(rows)[:, i] for i, name in enumerate("abc")}
        return pa.table({**columns, **more})

    @pytest.mark.parametrize("start", [0, 1, 7, 12, 19])
    def test_several_files_are_one_table(self, tmp_path: Path, start: int) -> None:
        pq.write_table(self.table(8, label=np.zeros(8)), tmp_path / "1.parquet", row_group_size=3)
        pq.write_table(self.table(12, label=np.zeros(12)), tmp_path / "2.parquet")
        wanted = np.concatenate([samples(8), samples(12)])
        np.testing.assert_array_equal(whole(tmp_path, start=start)["x"], wanted[start:])
        assert open_stream(tmp_path, X).count == 20

    @pytest.mark.parametrize("start", [0, 3, 9])
    def test_text(self, tmp_path: Path, start: int) -> None:
        lines = ["a,b,c,target", *(",".join(map(str, row)) + ",cat" for row in samples().tolist())]
        (tmp_path / "t.csv").write_text("\n".join(lines))
        np.testing.assert_array_equal(whole(tmp_path, start=start)["x"], samples()[start:])

    def test_whole_numbers_in_the_first_block_are_no_promise(self, tmp_path: Path) -> None:
        rows = ["a,b,c", *["1,2,3"] * 700_000, "1.5,2.5,3.5"]
        (tmp_path / "t.csv").write_text("\n".join(rows))
        found = whole(tmp_path, start=699_990, size=100_000)["x"]
        assert found[-1].tolist() == [1.5, 2.5, 3.5]
        assert len(found) == 11

    def test_columns_by_the_names_of_inputs(self, tmp_path: Path) -> None:
        pq.write_table(
            pa.table({"text": ["a", "b"], "more": [0, 0], "age": [3, 4]}), tmp_path / "t.parquet"
        )
        found = whole(tmp_path, TWO)
        assert (found["age"].tolist(), found["age"].dtype) == ([3, 4], np.int64)
        assert found["text"].tolist() == [["a"], ["b"]]

    def test_a_column_of_lists_is_one_input(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"x": samples().tolist(), "n": list(range(10))}), tmp_path / "t.parquet")
        np.testing.assert_array_equal(whole(tmp_path, start=5)["x"], samples()[5:])

    def test_the_label_is_left_out_unless_it_is_needed(self, tmp_path: Path) -> None:
        pq.write_table(self.table(4, y=np.ones(4)), tmp_path / "t.parquet")
        np.testing.assert_array_equal(whole(tmp_path)["x"], samples(4))
        four = [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
        assert whole(tmp_path, four)["x"][:, 3].tolist() == [1, 1, 1, 1]
        np.testing.assert_array_equal(
            whole(tmp_path, features=["c", "a", "y"])["x"][:, 0], samples(4)[:, 2]
        )

    @pytest.mark.parametrize(
        ("table", "inputs", "features", "said"),
        [
            ({"a": [1.0], "b": [2.0]}, X, (), r"takes 3 numbers, and the table has 2 columns.*\(a, b\)"),
            (
                {"a": [1.0], "b": ["x"], "c": [2.0]},
                X,
                (),
                r"'b' is not of numbers: t.parquet, row 0 .*'x'",
            ),
            (
                {"a": ["7", "x"], "b": [1, 2], "c": [1, 2]},
                X,
                "abc",
                "row 1 .* FP32, which 'x' is not",
            ),
            ({"age": [1]}, TWO, (), "no column for the model's input 'text': it has age"),
            ({"a": [1.0]}, X, ["a", "q", "r"], "no column 'q'"),
            (
                {"a": [1.0, None], "b": [1.0, 2.0], "c": [1.0, 2.0]},
                X,
                (),
                "row 1 .* column 'a' is empty",
            ),
            (
                {"x": [[1.0], [2.0, 3.0, 4.0], [1.0, 2.0]]},
                X,
                (),
                "row 1 .* differ in length: 3 here, 1 before",
            ),
            ({"x": [[[1, 2]], [[1], [2]]]}, X, (), "row 1 .* 'x' differ in length: 2 here, 1 before"),
            ({"x": [[[1, 2, 3]], [[1, 2]]]}, X, (), "row 1 .* 'x' differ in length: 2 here, 3 before"),
            ({"x": [[1, 2, 3], [1, None, 3]]}, X, (), "row 1 .*: the column 'x' is empty there"),
        ],
    )
    def test_what_does_not_fit_is_said(
        self, tmp_path: Path, table: Any, inputs: Any, features: Any, said: str
    ) -> None:
        pq.write_table(pa.table(table), tmp_path / "t.parquet")
        with pytest.raises(DataError, match=said):
            whole(tmp_path, inputs, features)

    def test_rows_are_counted_in_their_own_file(self, tmp_path: Path) -> None:
        pq.write_table(self.table(700), tmp_path / "1.parquet")
        pq.write_table(pa.table({n: [1.0, 2.0, 3.0, None] for n in "abc"}), tmp_path / "2.parquet")
        for start in (0, 3, 701):
            with pytest.raises(DataError, match=r"^2\.parquet, row 3 \(counted from 0\): the column 'a'"):
                whole(tmp_path, start=start, size=256)

    def test_a_column_that_a_later_file_lacks_is_none_of_its_others(self, tmp_path: Path) -> None:
        pq.write_table(self.table(), tmp_path / "1.parquet")
        pq.write_table(pa.table({"a": [1.0], "b": [1.0], "d": [1.0]}), tmp_path / "2.parquet")
        with pytest.raises(DataError, match=r"2\.parquet has no column 'c'"):
            whole(tmp_path)

    def test_lists_of_a_fixed_length(self, tmp_path: Path) -> None:
        fixed = pa.FixedSizeListArray.from_arrays(pa.array(samples().reshape(-1)), 3)
        pq.write_table(pa.table({"x": fixed}), tmp_path / "t.parquet")
        np.testing.assert_array_equal(whole(tmp_path, start=3)["x"], samples()[3:])

    def test_a_word_among_numbers_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n1,many,3\n")
        said = r"column 'b' is not of numbers: t\.csv, row 1 \(counted from 0\), has 'many'"
        with pytest.raises(DataError, match=said):
            whole(tmp_path)
        said = r"^t\.csv, row 1 \(counted from 0\): column 'b': 'many' is not a number$"
        with pytest.raises(DataError, match=said):
            whole(tmp_path, features=["a", "b", "c"])
        (tmp_path / "t.csv").write_text("a,b,c\n" + "1,2,3\n" * 900_000 + "1,many,3\n")
        said = r"^t\.csv, row 900000 \(counted from 0\): column 'b': 'many' is not a number$"
        with pytest.raises(DataError, match=said):
            whole(tmp_path)

    def test_a_row_of_too_few_cells_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n1,2\n")
        with pytest.raises(DataError, match=r"^t\.csv, row 1 \(.*\): Expected 3 columns, got 2"):
            whole(tmp_path)

    def test_an_empty_cell_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n1,,3\n")
        with pytest.raises(DataError, match=r"^t\.csv, row 1 \(counted from 0\): the column 'b' is empty"):
            whole(tmp_path)


@pytest.mark.framework
class TestImages:
    """In an environment that has Pillow."""

    def test_each_sample_has_its_files_name(self, sklearn: Framework) -> None:
        sklearn.script("""
            from pathlib import Path
            import numpy as np
            from PIL import Image
            from nacre.workloads.arrays import DataError
            from nacre.workloads.streams import open_stream

            Path("cats").mkdir()
            for number in range(5):
                Image.fromarray(np.full((4, 4), number * 51, np.uint8)).save(f"cats/{number}.png")
            stream = open_stream(Path("."), [{"name": "x", "datatype": "FP32", "shape": [-1, 1, 4, 4]}])
            assert stream.count == 5
            parts = list(stream.read(1, 3))
            assert [p.files for p in parts] == [["cats/1.png", "cats/2.png", "cats/3.png"], ["cats/4.png"]]
            assert [p.feed["x"].shape for p in parts] == [(3, 1, 4, 4), (1, 1, 4, 4)]
            assert abs(parts[1].feed["x"].max() - 0.8) < 1e-6
            Image.fromarray(np.zeros((5, 5), np.uint8)).save("cats/9.png")
            inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 4, 4]}]
            try:
                list(open_stream(Path("."), inputs).read(0, 9))
            except DataError as error:
                assert "cats/0.png is (4, 4), cats/9.png is (5, 5)" in str(error), error
            else:
                raise SystemExit("sizes that differ were taken")
        """)


def test_a_folder_without_samples(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("#")
    with pytest.raises(DataError, match=r"no samples found in the data \(readme\.md\)"):
        open_stream(tmp_path, X)
