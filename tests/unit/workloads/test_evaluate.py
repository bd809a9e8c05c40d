"""The evaluator agrees with scikit-learn, and says what is wrong with data that does not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
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


def program(folder: Path, model: Path, data: Path) -> subprocess.CompletedProcess[str]:
    """Run the evaluator as a job does."""
    return subprocess.run(
        [sys.executable, "-m", "nacre.workloads.evaluate", "--model", str(model), "--data", str(data)],
        env=os.environ
        | {
            "NACRE_OUTPUT_DIR": str(folder),
            "NACRE_TRACK_FILE": str(folder / "track.jsonl"),
            "NACRE_RUN_ID": "0" * 32,
        },
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )


class Answers:
    """A session that answers with these rows, whatever it is asked; ``fixed`` is its batch."""

    def __init__(self, rows: Any, fixed: int | None = None) -> None:
        self.rows, self.at, self.fixed = np.asarray(rows), 0, fixed

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="x", shape=[self.fixed or "n", 1])]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="y")]

    def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
        count = len(feed["x"])
        assert self.fixed in (None, count)
        found = self.rows[self.at : self.at + count]
        self.at += count
        return [np.concatenate([found, np.repeat(found[-1:], count - len(found), axis=0)])]


class TestPredict:
    @pytest.mark.parametrize(
        ("rows", "called"),
        [
            ([[0.1, 0.7, 0.2], [0.9, 0.1, 0.0]], [1, 0]),
            ([[-3.0, 2.0], [5.0, 4.0]], [1, 0]),
            ([[0.2], [0.8]], [0, 1]),
            ([0.2, 0.8], [0, 1]),
            ([[-0.2], [0.3]], [0, 1]),
            ([2.0, 0.0, 7.0], [2, 0, 7]),
            ([3, 1], [3, 1]),
            (["cat", "dog"], ["cat", "dog"]),
            ([[[[0.1]], [[0.9]]]], [1]),
        ],
        ids=["scores", "logits", "probability", "flat", "logit", "labels", "whole", "names", "pooled"],
    )
    def test_answers_are_read_as_classes(self, rows: Any, called: list[Any]) -> None:
        found = evaluate.predict(Answers(rows), np.zeros((len(rows), 1)))
        assert found.tolist() == called

    def test_a_fixed_batch_is_filled_up(self) -> None:
        rows = np.arange(5)
        found = evaluate.predict(Answers(rows, fixed=2), np.zeros((5, 1)))
        assert found.tolist() == rows.tolist()

    def test_one_answer_for_each_sample_or_a_sentence(self) -> None:
        with pytest.raises(arrays.DataError, match="knows classes only"):
            evaluate.predict(Answers(np.zeros((2, 3, 4))), np.zeros((2, 1)))

    def test_what_the_runtime_says_is_a_sentence(self, tmp_path: Path) -> None:
        session = onnxruntime.InferenceSession(str(scores_model(tmp_path / "m.onnx")))
        with pytest.raises(arrays.DataError, match="the model refused the samples"):
            evaluate.predict(session, np.zeros((2, 3), np.float64))


class TestTruth:
    @pytest.mark.parametrize(
        ("labels", "truth"),
        [
            (np.array([[3], [1]]), [3, 1]),
            (np.array([[0, 1, 0], [1, 0, 0]]), [1, 0]),
            (np.array([2.0, 0.0]), [2, 0]),
            (np.array([True, False]), [1, 0]),
            (np.array(["b", "a"], dtype=object), ["b", "a"]),
        ],
        ids=["column", "one-hot", "floats", "bools", "names"],
    )
    def test_labels_are_read_as_classes(self, labels: Any, truth: list[Any]) -> None:
        assert evaluate.truth_of(labels).tolist() == truth

    @pytest.mark.parametrize(
        ("labels", "said"),
        [(np.array([0.5, 1.0]), "not classes but measures"), (np.zeros((2, 3)), r"shape \[3\] each")],
    )
    def test_what_is_no_class_is_refused(self, labels: Any, said: str) -> None:
        with pytest.raises(arrays.DataError, match=said):
            evaluate.truth_of(labels)

    @pytest.mark.parametrize(
        ("truth", "called", "classes", "both"),
        [
            (["b", "a"], [1, 0], None, (["b", "a"], ["b", "a"])),
            (["1", "0"], [1, 1], None, ([1, 0], [1, 1])),
            ([1, 0], ["dog", "dog"], ["cat", "dog"], (["dog", "cat"], ["dog", "dog"])),
            ([1, 0], ["1", "1"], None, (["1", "0"], ["1", "1"])),
        ],
        ids=["sorted names", "digits as text", "folders", "labels as text"],
    )
    def test_names_and_numbers_meet(self, truth: Any, called: Any, classes: Any, both: Any) -> None:
        found = evaluate.align(np.array(truth), np.array(called), classes)
        assert tuple(side.tolist() for side in found) == both

    def test_names_that_never_meet_are_not_called_wrong_answers(self) -> None:
        with pytest.raises(arrays.DataError, match="calls classes dog, and the data's labels are cat"):
            evaluate.align(np.array(["cat"]), np.array(["dog"]), None)
        with pytest.raises(arrays.DataError, match="names 2 classes"):
            evaluate.align(np.array(["a", "b"]), np.array([4, 0]), None)


class TestMeasure:
    def test_a_matrix_stays_of_reasonable_size(self) -> None:
        many = np.arange(evaluate.MAX_CLASSES + 1)
        with pytest.raises(arrays.DataError, match="1500 at most"):
            evaluate.measure(many, many)

    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=200))
    def test_it_agrees_with_scikit_learn(self, pairs: list[tuple[int, int]]) -> None:
        truth, called = (np.array(side) for side in zip(*pairs, strict=True))
        found = evaluate.measure(truth, called)
        occurring = sorted({*truth.tolist(), *called.tolist()})
        precision, recall, f1, _ = precision_recall_fscore_support(
            truth, called, average="macro", zero_division=0
        )
        assert found["accuracy"] == pytest.approx(accuracy_score(truth, called))
        assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((precision, recall, f1))
        whole = confusion_matrix(truth, called, labels=range(5))
        assert found["confusion"] == whole[np.ix_(occurring, occurring)].tolist()

    def test_rows_are_the_truth_and_columns_what_was_called(self) -> None:
        found = evaluate.measure(np.array([0, 0, 1]), np.array([1, 0, 1]), ["cat", "dog"])
        assert found["labels"] == ["cat", "dog"]
        assert found["confusion"] == [[1, 1], [0, 1]]
        assert found["per_class"]["cat"] == {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2}


class TestEvaluate:
    def test_the_program_writes_its_result_and_logs_it(self, tmp_path: Path) -> None:
        model = scores_model(tmp_path / "model.onnx")
        truth = np.arange(9) % 3
        x = np.eye(3, dtype=np.float32)[truth]
        x[0] = [0, 1, 0]
        np.savez(tmp_path / "test.npz", x=x, y=truth)
        done = program(tmp_path, model, tmp_path / "test.npz")
        assert done.returncode == 0, done.stderr
        assert "accuracy 0.8889" in done.stdout
        found = json.loads((tmp_path / "evaluation.json").read_text())
        assert found["samples"] == 9
        assert found["accuracy"] == pytest.approx(8 / 9)
        logged = [json.loads(line) for line in (tmp_path / "track.jsonl").read_text().splitlines()]
        assert sum(json.dumps(line).count("accuracy") for line in logged) == 1

    def test_the_program_says_what_does_not_fit_and_ends_with_2(self, tmp_path: Path) -> None:
        model = scores_model(tmp_path / "model.onnx")
        np.savez(tmp_path / "test.npz", x=np.zeros((2, 7), np.float32), y=np.zeros(2))
        done = program(tmp_path, model, tmp_path / "test.npz")
        assert done.returncode == 2
        assert done.stderr == "error: the model takes samples of shape [3], the data has [7]\n"
        assert not (tmp_path / "evaluation.json").exists()

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
