"""Data sets that frameworks load by name lie where each of them looks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from launcher_host import Host
from pydantic import ValidationError

from nacre.launcher import named
from nacre.schema.jobs import BARE_NAMES, JobInput, JobSpec

_IMAGES = "train-images-idx3-ubyte"
SITE = Path(named.__file__).parents[2]


def entry(host: Host, called: str, files: dict[str, bytes], name: str = "d") -> dict[str, object]:
    return {"name": name, "manifest": host.manifest(files), "as_name": called}


@pytest.mark.parametrize(
    ("called", "file", "where"),
    [
        ("keras:mnist", "mnist.npz", "~/.keras/datasets/mnist.npz"),
        ("mnist", "mnist.npz", "~/.keras/datasets/mnist.npz"),
        ("torchvision:MNIST", _IMAGES, f"data/MNIST/raw/{_IMAGES}"),
        ("torchvision:MNIST", f"MNIST/raw/{_IMAGES}", f"data/MNIST/raw/{_IMAGES}"),
        ("mnist", f"raw/{_IMAGES}.gz", f"data/MNIST/raw/{_IMAGES}.gz"),
        ("torchvision:CIFAR10", "cifar-10-batches-py/a", "data/cifar-10-batches-py/a"),
        ("mxnet:mnist", f"{_IMAGES}.gz", f"~/.mxnet/datasets/mnist/{_IMAGES}.gz"),
        ("paddle:mnist", f"{_IMAGES}.gz", f"~/.cache/paddle/dataset/mnist/{_IMAGES}.gz"),
        ("tfds:mnist", "3.0.1/features.json", "~/tensorflow_datasets/mnist/3.0.1/features.json"),
        ("tfds:mnist", "mnist/3.0.1/features.json", "~/tensorflow_datasets/mnist/3.0.1/features.json"),
        ("hf:own/name", "train.csv", "$HF_HOME/hub/datasets--own--name/snapshots/nacre/train.csv"),
        ("hf:own/name", "hub/models--a--b/refs/main", "$HF_HOME/hub/models--a--b/refs/main"),
    ],
)
def test_files_are_where_the_framework_looks(host: Host, called: str, file: str, where: str) -> None:
    inputs = [entry(host, called, {file: b"x"})]
    host.run("sh", "-c", f"cat {where}; env | grep -c HF_HUB_OFFLINE", inputs=inputs)
    assert host.log() == f"x{int(called.startswith('hf:'))}\n"


def test_scripts_that_read_the_folder_beside_theirs_find_it_too(boxed: Host) -> None:
    files = {"train-images-idx3-ubyte": b"x"}
    script = "cat ../data/MNIST/raw/train-images-idx3-ubyte && ls ../data"
    boxed.run("sh", "-c", script, inputs=[entry(boxed, "torchvision:MNIST", files)])
    assert boxed.log() == "xMNIST\nd\n"


def test_the_users_own_files_are_never_replaced(host: Host) -> None:
    code = host.manifest({"data/cifar-10-batches-py/a": b"mine"})
    files = {"cifar-10-batches-py/a": b"theirs"}
    script = "cat data/cifar-10-batches-py/a"
    host.run("sh", "-c", script, code=code, inputs=[entry(host, "torchvision:CIFAR10", files)])
    assert host.log() == "mine"


def test_a_data_set_without_what_the_framework_reads_says_so(plain: Host) -> None:
    event = plain.run("true", inputs=[entry(plain, "torchvision:MNIST", {"readme.txt": b"x"})])
    assert event["reason"] == "data_missing"
    assert "torchvision:MNIST" in event["message"]


_LOADER = """
import hashlib, os

def validate_file(fpath, file_hash, algorithm="auto", chunk_size=65535):
    return hashlib.sha256(open(fpath, "rb").read()).hexdigest() == file_hash

def get_file(fname, file_hash):
    path = os.path.join(os.path.expanduser("~"), ".keras", "datasets", fname)
    if not os.path.exists(path) or not validate_file(path, file_hash):
        raise OSError("it would be fetched again")
    return open(path).read()
"""
"""How Keras goes about it."""


@pytest.mark.parametrize("content", ["the original", "a stand-in"])
def test_a_stand_in_passes_the_hash_check_and_is_called_one(host: Host, content: str) -> None:
    code = host.manifest(
        {
            "keras/__init__.py": b"",
            "keras/src/__init__.py": b"",
            "keras/src/utils/__init__.py": b"",
            "keras/src/utils/file_utils.py": _LOADER.encode(),
            "other.npz": b"not the platform's",
            "sitecustomize.py": b"",
        }
    )
    expected = hashlib.sha256(b"the original").hexdigest()
    program = f"""
from nacre.launcher.capture import hook
hook.install({{"keras.src.utils.file_utils": "nacre.launcher.capture.datasets"}})
from keras.src.utils.file_utils import get_file, validate_file
print(get_file("mnist.npz", {expected!r}), get_file("mnist.npz", {expected!r}), flush=True)
print(validate_file("other.npz", {expected!r}))
"""
    inputs = [entry(host, "keras:mnist", {"mnist.npz": content.encode()})]
    host.run("python3", "-B", "-c", program, code=code, inputs=inputs, nacre_site=str(SITE), capture=False)
    told = "[nacre] mnist.npz is not the original but a stand-in: the input d\n"
    assert host.log() == (told if content == "a stand-in" else "") + f"{content} {content}\nFalse\n"


def test_names_are_checked_when_a_job_is_written() -> None:
    assert JobInput.model_validate({"path": "d", "as": "keras:mnist"}).as_ == "keras:mnist"
    assert JobInput.model_validate({"path": "d", "as": "Fashion_MNIST"}).as_ == "fashion-mnist"
    for wrong in ("emnist-letters", "keras:", "keras:../x", "torch:MNIST", "torchvision:a/../../b", "/etc"):
        with pytest.raises(ValidationError, match="FRAMEWORK:NAME"):
            JobInput.model_validate({"path": "d", "as": wrong})
    assert set(BARE_NAMES) == set(named.BARE)


def test_a_job_keeps_what_its_input_is_called() -> None:
    spec = JobSpec.model_validate({"run": "x", "inputs": {"d": {"path": "digits", "as": "mnist"}}})
    stored = spec.model_dump(mode="json")
    assert JobSpec.model_validate(json.loads(json.dumps(stored))) == spec
    assert spec.model_dump(mode="json", by_alias=True)["inputs"]["d"]["as"] == "mnist"


@pytest.mark.parametrize(("given", "capture"), [(True, "on"), (False, "off"), ("off", "off"), (None, "on")])
def test_capture_may_be_written_as_yaml_has_it(given: object, capture: str) -> None:
    fields = {"run": "x"} if given is None else {"run": "x", "capture": given}
    assert JobSpec.model_validate(fields).capture == capture
