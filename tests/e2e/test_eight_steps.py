"""The eight steps as a person takes them: by command line and plain HTTP, with scikit-learn's digits."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tritonclient.http
from real_server import MakeServer, Server, wait_until
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

pytestmark = [pytest.mark.slow, pytest.mark.framework]

TRAIN = """
import argparse, os
import joblib, nacre, numpy
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

options = argparse.ArgumentParser()
options.add_argument("--rounds", type=int)
rounds = options.parse_args().rounds
data = numpy.load(os.environ["NACRE_INPUT_DIGITS"] + "/digits.npz")
nacre.log_param("rounds", rounds)
for step in range(rounds):
    classifier = LogisticRegression(max_iter=2000, C=0.02 * (step + 1))
    model = make_pipeline(StandardScaler(), classifier).fit(data["x"], data["y"])
    nacre.log_metric("accuracy", model.score(data["x"], data["y"]), step=step)
    print("round", step, flush=True)
joblib.dump(model, os.environ["NACRE_OUTPUT_DIR"] + "/model.joblib")
"""


class Person:
    """Somebody with a home of their own who uses the server from the command line."""

    def __init__(self, server: Server, folder: Path, name: str) -> None:
        self.server, self.folder = server, folder / name
        self.folder.mkdir()
        self.variables = {"NACRE_HOME": str(self.folder / ".nacre"), "NACRE_URL": server.url}

    def nacre(self, *words: str | Path, check: bool = True, env: Mapping[str, str] | None = None) -> str:
        done = self.server.run(
            *words, cwd=self.folder, env=self.variables | dict(env or {}), check=check, timeout_s=400
        )
        if check:
            return done.stdout.decode()
        assert done.returncode != 0, done.stdout
        return done.stderr.decode()

    def ask(self, *words: str | Path) -> Any:
        return json.loads(self.nacre("--output", "json", *words))


class Digits:
    """The data in two folders, and the held-out part."""

    def __init__(self, folder: Path) -> None:
        digits = load_digits()
        x = (digits.data / 16).astype(np.float32)
        split = train_test_split(x, digits.target, test_size=300, random_state=7, stratify=digits.target)
        self.x, self.y = split[1], split[3]
        for name, images, labels in (("train", split[0], split[2]), ("test", split[1], split[3])):
            (folder / name).mkdir()
            np.savez(folder / name / "digits.npz", x=images, y=labels)


def post(url: str, token: str, x: np.ndarray) -> list[int]:
    """The labels that an endpoint gives, with nothing but the standard library."""
    tensor = {"name": "x", "shape": list(x.shape), "datatype": "FP32", "data": x.reshape(-1).tolist()}
    request = urllib.request.Request(
        url, json.dumps({"inputs": [tensor]}).encode(), {"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return labels_of(json.load(answer))


def labels_of(answer: dict[str, Any]) -> list[int]:
    outputs = {output["name"]: output for output in answer["outputs"]}
    integers = [o for o in outputs.values() if o["datatype"].startswith("INT")]
    return [int(value) for value in integers[0]["data"]]


class Traffic:
    """Constant requests from another thread; what went wrong is kept."""

    def __init__(self, url: str, token: str, x: np.ndarray) -> None:
        self.answers: list[list[int]] = []
        self.failures: list[str] = []
        self._arguments = (url, token, x)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.answers.append(post(*self._arguments))
            except (OSError, ValueError) as error:
                self.failures.append(repr(error))

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_from_nothing_to_a_model_that_answers(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    digits = Digits(tmp_path)
    owner = Person(server, tmp_path, "owner")
    owner.variables["NACRE_HOME"] = str(server.home)

    # 1 account: Grace is invited, Mallory only has an account
    invitation = owner.ask("user", "invite", "--to", "default", "--role", "editor")["secret"]
    grace = Person(server, tmp_path, "grace")
    sign_up = ("user", "sign-up", "--name", "grace", "--invitation", invitation)
    grace.nacre(*sign_up, env={"NACRE_PASSWORD": "rear-admiral"})
    mallory = Person(server, tmp_path, "mallory")
    invitation = owner.ask("user", "invite")["secret"]
    sign_up = ("user", "sign-up", "--name", "mallory", "--invitation", invitation)
    mallory.nacre(*sign_up, env={"NACRE_PASSWORD": "not-so-secret"})
    assert "default" in [project["name"] for project in grace.ask("project", "ls")]
    assert "default" not in [project["name"] for project in mallory.ask("project", "ls")]
    grace.variables["NACRE_PROJECT"] = "default"

    # 4 data
    grace.nacre("data", "push", tmp_path / "train", "--name", "digits")
    grace.nacre("data", "push", tmp_path / "test", "--name", "digits-test")

    # 3, 5, 6 environment, code and training
    (grace.folder / "train.py").write_text(TRAIN)
    words = ["-e", "sklearn", "--data", "digits", "--cpu", "1", "--name", "fit", "train.py", "--"]
    assert "per hour" in grace.nacre("run", "--dry-run", *words, "--rounds", "3")
    printed = grace.nacre("run", *words, "--rounds", "3")
    assert printed.splitlines() == ["round 0", "round 1", "round 2"]
    shown = grace.nacre("show", "fit")
    assert "rounds" in shown
    assert "accuracy" in shown

    # 7 evaluate
    version = grace.ask("model", "register", "fit:model.joblib", "--name", "digits-lr")
    assert (version["number"], version["conversion"], version["framework"]) == (1, "ready", "sklearn")
    evaluation = grace.ask("evaluate", "digits-lr", "--data", "digits-test")
    assert evaluation["samples"] == 300
    assert np.sum(evaluation["confusion"]) == 300
    assert evaluation["accuracy"] == pytest.approx(np.trace(evaluation["confusion"]) / 300)
    assert evaluation["accuracy"] > 0.93

    # 8 deploy: by HTTP, by tritonclient, and as ONNX Runtime has it in this process
    endpoint = grace.ask("deploy", "digits-lr", "--name", "digits")
    url = f"{endpoint['url']}/v2/models/digits-lr/infer"
    token = grace.ask("token", "create", "phone", "--scope", "endpoints:invoke")["secret"]
    labels = post(url, token, digits.x)
    assert np.mean(np.array(labels) == digits.y) == pytest.approx(evaluation["accuracy"])
    (grace.folder / "input.json").write_text(json.dumps(digits.x[:2].tolist()))
    assert labels_of(grace.ask("predict", "digits", "input.json")) == labels[:2]
    grace.nacre("model", "pull", "digits-lr", "pulled", "--onnx")
    [onnx_file] = (grace.folder / "pulled").rglob("*.onnx")
    assert_same_answers(endpoint["url"], "digits-lr", token, onnx_file, digits.x)

    # a second version takes over without a failed request
    grace.nacre("run", *words[:-4], "--name", "fit-more", "train.py", "--", "--rounds", "6")
    second = grace.ask("model", "register", "fit-more:model.joblib", "--name", "digits-lr")
    assert second["number"] == 2
    with Traffic(url, token, digits.x[:50]) as traffic:
        wait_until("requests are answered", lambda: len(traffic.answers) > 20)
        again = grace.ask("deploy", "digits-lr", "--name", "digits")
        enough = len(traffic.answers) + 50
        wait_until("requests go on being answered", lambda: len(traffic.answers) > enough)
    assert traffic.failures == []
    assert (again["version"], again["state"]) == (2, "ready")

    # Mallory sees and reaches nothing of it
    for words in (("ps",), ("show", "fit"), ("data", "ls"), ("model", "ls"), ("endpoint", "ls")):
        said = mallory.nacre("--project", "default", *words, check=False)
        assert "no such project, or you are not a member of it" in said
    theirs = mallory.ask("token", "create", "mine", "--scope", "endpoints:invoke")["secret"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(url, theirs, digits.x[:1])
    assert refused.value.code in (403, 404)
    refused.value.close()
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(url, "", digits.x[:1])
    assert refused.value.code == 401
    refused.value.close()

    # the end, and the cost: one closed record for each allocation
    owner.nacre("undeploy", "digits", "--yes")
    wait_until("it answers no more", lambda: _is_gone(url, token, digits.x[:1]))
    records = server.client().usage.list(limit=None)
    kinds = [record.kind for record in records]
    assert kinds.count("endpoint") == 1
    assert kinds.count("job") == 2 + 2 + 1  # trained, converted, evaluated
    assert all(record.ended_at for record in records)
    cost = owner.ask("cost", "--by", "kind")
    assert cost["total"] == sum(record.cost for record in records) > 0
    assert {line["kind"] for line in cost["lines"]} == {"job", "endpoint"}
    by_user = grace.ask("cost", "--by", "user")
    assert [line["user"] for line in by_user["lines"]] == ["grace"]


def assert_same_answers(url: str, model: str, token: str, onnx_file: Path, x: np.ndarray) -> None:
    """An unmodified Triton client against the endpoint, and ONNX Runtime in this process."""
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    expected = dict(zip(names, session.run(names, {session.get_inputs()[0].name: x}), strict=True))
    client = tritonclient.http.InferenceServerClient(url.removeprefix("http://"))
    headers = {"Authorization": f"Bearer {token}"}
    try:
        assert client.is_model_ready(model, headers=headers)
        for binary in (True, False):
            tensor = tritonclient.http.InferInput("x", list(x.shape), "FP32")
            tensor.set_data_from_numpy(x, binary_data=binary)
            answer = client.infer(model, [tensor], headers=dict(headers))  # it writes into them
            for name, values in expected.items():
                np.testing.assert_array_equal(answer.as_numpy(name), values)
    finally:
        client.close()


def _is_gone(url: str, token: str, x: np.ndarray) -> bool:
    try:
        post(url, token, x)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 404
    except OSError:
        return True
    return False
