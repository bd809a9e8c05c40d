"""The evaluator agrees with scikit-learn, and says what is wrong with data that does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from nacre.workloads import arrays, evaluate


def scores_model(path: Path, classes: int = 3) -> Path:
    """An ONNX model whose scores are its inputs."""
    shape = ["n", classes]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "scores",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


class TestMeasure:
    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=200))
    def test_it_agrees_with_scikit_learn(self, pairs: list[tuple[int, int]]) -> None:
        truth, called = (np.array(side) for side in zip(*pairs, strict=True))
        found = evaluate.measure(truth, called)
        precision, recall, f1, _ = precision_recall_fscore_support(
            truth, called, average="macro", zero_division=0
        )
        assert found["accuracy"] == pytest.approx(accuracy_score(truth, called))
        assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((precision, recall, f1))
        assert found["confusion"] == confusion_matrix(truth, called).tolist()

    def test_rows_are_the_truth_and_columns_what_was_called(self) -> None:
        found = evaluate.measure(np.array([0, 0, 1]), np.array([1, 0, 1]), ["cat", "dog"])
        assert found["labels"] == ["cat", "dog"]
        assert found["confusion"] == [[1, 1], [0, 1]]
        assert found["per_class"]["cat"] == {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2}


class TestEvaluate:
    def test_the_program_writes_its_result_and_logs_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = scores_model(tmp_path / "model.onnx")
        truth = np.arange(9) % 3
        x = np.eye(3, dtype=np.float32)[truth]
        x[0] = [0, 1, 0]
        np.savez(tmp_path / "test.npz", x=x, y=truth)
        track = tmp_path / "track.jsonl"
        monkeypatch.setenv("NACRE_OUTPUT_DIR", str(tmp_path))
        monkeypatch.setenv("NACRE_TRACK_FILE", str(track))
        monkeypatch.setattr(
            "sys.argv", ["evaluate", "--model", str(model), "--data", str(tmp_path / "test.npz")]
        )
        evaluate.main()
        found = json.loads((tmp_path / "evaluation.json").read_text())
        assert found["samples"] == 9
        assert found["accuracy"] == pytest.approx(8 / 9)
        assert "accuracy 0.8889" in capsys.readouterr().out

    def test_data_without_labels_is_refused_with_a_sentence(self, tmp_path: Path) -> None:
        model = scores_model(tmp_path / "model.onnx")
        np.savez(tmp_path / "test.npz", x=np.zeros((2, 3), np.float32))
        with pytest.raises(arrays.DataError, match="no labels"):
            evaluate.evaluate(model, tmp_path / "test.npz", None, None)

    def test_samples_of_another_shape_are_refused_with_both_shapes(self, tmp_path: Path) -> None:
        model = scores_model(tmp_path / "model.onnx")
        np.savez(tmp_path / "test.npz", x=np.zeros((2, 7), np.float32), y=np.zeros(2))
        with pytest.raises(arrays.DataError, match=r"takes samples of shape \[3\], the data has \[7\]"):
            evaluate.evaluate(model, tmp_path / "test.npz", None, None)


class TestArrays:
    @pytest.mark.parametrize("names", arrays.PAIRS)
    def test_usual_names_are_understood(self, tmp_path: Path, names: tuple[str, str]) -> None:
        np.savez(tmp_path / "a.npz", **{names[0]: np.ones((4, 2)), names[1]: np.arange(4)})
        found = arrays.read(tmp_path)
        assert found.x.shape == (4, 2)
        assert found.y is not None
        assert found.y.tolist() == [0, 1, 2, 3]

    def test_other_names_are_given(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", pixels=np.ones((4, 2)), digit=np.arange(4))
        with pytest.raises(arrays.DataError, match="digit, pixels: name them"):
            arrays.read(tmp_path)
        assert arrays.read(tmp_path, "pixels", "digit").x.shape == (4, 2)

    def test_lengths_that_differ_are_refused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", x=np.ones((4, 2)), y=np.arange(3))
        with pytest.raises(arrays.DataError, match="4 samples but 3 labels"):
            arrays.read(tmp_path)

    @pytest.mark.parametrize("content", ["", "notes.txt"])
    def test_a_folder_without_samples_says_what_is_expected(self, tmp_path: Path, content: str) -> None:
        if content:
            (tmp_path / content).write_text("hello")
        with pytest.raises(arrays.DataError, match=r"expected \.npz"):
            arrays.read(tmp_path)

    @pytest.mark.parametrize(
        ("have", "wanted"),
        [
            ((8, 8), [-1, 1, 8, 8]),
            ((8, 8), [-1, 8, 8, 1]),
            ((8, 8, 3), [-1, 3, 8, 8]),
            ((8, 8), [-1, 64]),
            ((64,), [-1, 1, 8, 8]),
        ],
    )
    def test_samples_are_brought_to_the_shape_that_the_model_takes(
        self, have: tuple[int, ...], wanted: list[int]
    ) -> None:
        found = arrays.fit(np.zeros((5, *have)), wanted, "FP32")
        assert list(found.shape) == [5, *wanted[1:]]
        assert found.dtype == np.float32
