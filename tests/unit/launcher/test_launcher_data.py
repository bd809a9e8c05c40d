"""Code, inputs and outputs: laid out right, and nothing that a job does reaches a blob."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from blake3 import blake3
from launcher_host import Host

from nacre.launcher.folder import Failure
from nacre.launcher.prepare import shared_tree
from nacre.launcher.store import SEALED_NS, Store
from nacre.plugins.blobs import files
from nacre.ports.blobs import blob_path
from nacre.schema.manifests import canonical, parse


def test_code_is_laid_out_in_the_working_folder(host: Host) -> None:
    code = host.manifest(
        {"train.py": b"print('trained', __import__('pkg.part').part.X)", "pkg/part.py": b"X = 3"}
    )
    event = host.run("python3", "train.py", code=code)
    assert event["reason"] == "succeeded"
    assert host.log() == "trained 3\n"


def test_the_working_folder_may_be_part_of_the_code(host: Host) -> None:
    code = host.manifest({"a/b/train.py": b"print('here')"})
    host.run("python3", "train.py", code=code, workdir="a/b")
    assert host.log() == "here\n"


def test_programs_stay_programs(host: Host) -> None:
    data = b"#!/bin/sh\necho ran\n"
    entries = [{"path": "go", "size": len(data), "digest": host.blob(data), "executable": True}]
    host.run("./go", code=host.blob(json.dumps({"files": entries}).encode()))
    assert host.log() == "ran\n"


def test_a_job_may_change_its_code_but_not_the_blob(host: Host) -> None:
    before = b"print('as sent')"
    code = host.manifest({"train.py": before})
    host.run("sh", "-c", "echo changed > train.py; cat train.py", code=code)
    assert host.log() == "changed\n"
    assert blob_path(host.blobs, blake3(before).hexdigest()).read_bytes() == before


def test_inputs_are_found_by_variable_and_by_place(host: Host) -> None:
    digits = host.manifest({"train/x.bin": b"pixels", "labels": b"0123"})
    script = "cat $NACRE_INPUT_MNIST_SMALL/train/x.bin; cat $NACRE_INPUT_DIR/mnist-small/labels"
    script += "; cat $1; echo $WHERE"
    host.run(
        *("sh", "-c", script, "sh", "${{inputs.mnist-small}}/labels"),
        inputs=[{"name": "mnist-small", "manifest": digits}],
        variables={"WHERE": "${{ outputs }}/x ${{unknown}}"},
    )
    output = "/output" if host.mode != "none" else f"{host.folder}/output"
    assert host.log() == f"pixels01230123{output}/x ${{{{unknown}}}}\n"


@pytest.mark.parametrize("kind", ["ro_mount", "download"])
def test_an_input_of_one_file_is_that_file(host: Host, kind: str) -> None:
    table = host.manifest({"sub/table.csv": b"1,2\n"})
    host.run(
        *("sh", "-c", "cat $NACRE_INPUT_T $1 $WHERE", "sh", "${{inputs.t}}"),
        inputs=[{"name": "t", "manifest": table, "mode": kind, "file": "sub/table.csv"}],
        variables={"WHERE": "${{ inputs.t }}"},
    )
    assert host.log() == "1,2\n" * 3


def test_an_input_cannot_be_changed_through_its_mount(boxed: Host) -> None:
    digits = boxed.manifest({"x": b"truth"})
    script = "cd /data/d; echo lie > x; rm -f x; touch new; chmod 777 x; mv x y; ls; cat x"
    boxed.run("sh", "-c", script, inputs=[{"name": "d", "manifest": digits}])
    assert boxed.log().endswith("x\ntruth")
    assert "Read-only file system" in boxed.log()


@pytest.mark.parametrize("kind", ["ro_mount", "download"])
def test_no_job_can_change_a_blob(host: Host, kind: str) -> None:
    digits = host.manifest({"x": b"truth"})
    script = "cd $NACRE_INPUT_D; chmod 777 . x; echo lie > x; rm -f x; true"
    host.run("sh", "-c", script, inputs=[{"name": "d", "manifest": digits, "mode": kind}])
    blob = blob_path(host.blobs, blake3(b"truth").hexdigest())
    assert blob.read_bytes() == b"truth"
    assert blob.stat().st_mode & 0o777 == 0o444


def test_a_tree_of_links_is_built_once_and_used_again(boxed: Host) -> None:
    if boxed.as_user:
        pytest.skip("another user's blobs cannot be linked where the kernel protects hard links")
    digits = boxed.manifest({f"{i % 7}/{i}": b"%d" % i for i in range(50)})
    boxed.run("sh", "-c", "find /data/d -type f | wc -l", inputs=[{"name": "d", "manifest": digits}])
    tree = boxed.trees / digits
    inode = (tree / "3/3").stat().st_ino
    assert inode == blob_path(boxed.blobs, blake3(b"3").hexdigest()).stat().st_ino
    assert list(boxed.trees.iterdir()) == [tree]


def test_a_missing_blob_is_named(host: Host) -> None:
    code = host.manifest({"deep/model.py": b"gone"})
    blob_path(host.blobs, blake3(b"gone").hexdigest()).unlink()
    event = host.run("true", code=code)
    assert event["reason"] == "data_missing"
    assert "'deep/model.py' of the code is missing" in event["message"]


def test_a_blob_of_another_size_is_named(host: Host) -> None:
    digits = host.manifest({"x": b"whole"})
    path = blob_path(host.blobs, blake3(b"whole").hexdigest())
    path.unlink()
    path.write_bytes(b"ha")
    event = host.run("true", inputs=[{"name": "d", "manifest": digits}])
    assert event["reason"] == "data_missing"
    assert "2 bytes where 5 belong" in event["message"]


def damaged(path: Path) -> None:
    """Write to a blob without changing its length."""
    path.chmod(0o644)
    path.write_bytes(b"lies!")


def test_a_blob_that_was_written_to_is_damaged(host: Host) -> None:
    digits = host.manifest({"x": b"truth"})
    damaged(blob_path(host.blobs, blake3(b"truth").hexdigest()))
    event = host.run("cat", "/data/d/x", inputs=[{"name": "d", "manifest": digits}])
    assert event["reason"] == "data_missing"
    assert "The file 'x' of the input 'd' is damaged in the blob store" in event["message"]
    assert host.log() == ""


def test_damage_after_a_tree_was_built_is_found_and_mended_with_the_blob(plain: Host) -> None:
    digits = plain.manifest({"deep/x": b"truth", "y": b"other"})
    store = Store(str(plain.blobs), lambda: None)
    tree = Path(shared_tree(digits, str(plain.trees), store, "d"))
    blob = blob_path(plain.blobs, blake3(b"truth").hexdigest())
    inode = (tree / "y").stat().st_ino
    assert Path(shared_tree(digits, str(plain.trees), store, "d")) == tree
    assert (tree / "y").stat().st_ino == inode
    damaged(blob)
    with pytest.raises(Failure, match="'deep/x' of d is damaged in the blob store"):
        shared_tree(digits, str(plain.trees), store, "d")
    blob.unlink()
    plain.blob(b"truth")
    shared_tree(digits, str(plain.trees), store, "d")
    assert (tree / "deep/x").read_bytes() == b"truth"


def test_the_seal_is_the_file_stores() -> None:
    assert SEALED_NS == files.SEALED_NS


def test_a_sealed_blob_is_not_read_again(plain: Host) -> None:
    digits = plain.manifest({"x": b"truth"})
    blob = blob_path(plain.blobs, blake3(b"truth").hexdigest())
    damaged(blob)
    os.utime(blob, ns=(SEALED_NS, SEALED_NS))
    store = Store(str(plain.blobs), lambda: None)
    tree = Path(shared_tree(digits, str(plain.trees), store, "d"))
    assert (tree / "x").read_bytes() == b"lies!"


@pytest.mark.parametrize(
    "path", ["../up", "/etc/cron.d/x", "a/../../up", "a//b", "", ".", "a/./b", "..", "x\0y", "a/", 7]
)
def test_a_path_that_may_leave_its_folder_is_refused(plain: Host, path: object) -> None:
    entries = [{"path": path, "size": 1, "digest": plain.blob(b"x"), "executable": False}]
    manifest = plain.blob(json.dumps({"files": entries}).encode())
    event = plain.run("true", code=manifest)
    assert event["reason"] == "data_missing"
    assert not (plain.root / "attempts" / "up").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"files": 3}', b'{"files": [3]}', b"\xff"])
def test_a_manifest_that_is_none_is_said_to_be_none(plain: Host, content: bytes) -> None:
    event = plain.run("true", code=plain.blob(content))
    assert event["reason"] == "data_missing"
    assert "not a manifest" in event["message"]


def test_a_file_and_a_folder_of_one_name_are_a_failed_launch(plain: Host) -> None:
    event = plain.run("true", code=plain.manifest({"a": b"1", "a/b": b"2"}))
    assert event["reason"] == "launch_failed"


def test_blobs_come_by_http_where_the_store_is_elsewhere(plain: Host) -> None:
    data = b"print('from afar')" + b" " * 3_000_000
    code = plain.manifest({"train.py": data})
    for path in plain.blobs.glob("*/*"):
        plain.api.blobs[path.name] = path.read_bytes()
    event = plain.run("python3", "train.py", code=code, blobs_root=None)
    assert event["reason"] == "succeeded"
    assert plain.log() == "from afar\n"


def test_a_blob_that_the_server_lacks_is_missing_data(plain: Host) -> None:
    event = plain.run("true", code="0" * 64, blobs_root=None)
    assert event["reason"] == "data_missing"


def outputs(host: Host) -> dict[str, bytes]:
    """The artifacts that the server got, by path."""
    digest = next(e["manifest"] for e in host.api.events() if e["type"] == "artifacts")
    raw = host.api.blobs[digest]
    manifest = parse(raw)
    assert raw == canonical(manifest.files)
    return {entry.path: host.api.blobs[entry.digest] for entry in manifest.files}


def warnings(host: Host) -> str:
    return " ".join(e["message"] for e in host.api.events() if e["type"] == "warning")


def test_what_lies_in_the_output_folder_becomes_artifacts(host: Host) -> None:
    script = "cd $NACRE_OUTPUT_DIR; mkdir -p m tb; echo weights > m/w.bin; : > empty"
    script += "; echo tf > $TENSORBOARD_LOG_DIR/e"
    host.run("sh", "-c", script)
    assert outputs(host) == {"m/w.bin": b"weights\n", "empty": b"", "tb/e": b"tf\n"}
    kinds = [event["type"] for event in host.api.events()]
    assert kinds[-2:] == ["artifacts", "exit"]


def test_equal_folders_have_one_digest_whatever_alphabet_their_names_are_in(plain: Host) -> None:
    names = ["Größe.txt", "データ.bin", "\uffee", "\U0001f600", "z"]
    code = f"import os\nos.chdir(os.environ['NACRE_OUTPUT_DIR'])\nfor n in {names!r}: open(n, 'w').write(n)"
    plain.run("python3", "-c", code)
    assert outputs(plain) == {name: name.encode() for name in names}
    assert warnings(plain) == ""


def test_names_that_are_no_text_lose_no_artifact(host: Host) -> None:
    code = """import os
os.chdir(os.environ['NACRE_OUTPUT_DIR'].encode())
os.mkdir(b'd\\xff')
for name in (b'a\\xfe', b'a%FE', b'd\\xff/in', b'\\xed\\xa0\\x80', b'fine'):
    open(name, 'wb').write(name[:1])
"""
    event = host.run("python3", "-c", code)
    assert event["reason"] == "succeeded"
    assert outputs(host) == {
        "a%FE": b"a",
        "a%FE~": b"a",
        "d%FF/in": b"d",
        "%ED%A0%80": b"\xed",
        "fine": b"f",
    }
    assert "not UTF-8" in warnings(host)
    assert "'d%FF'" in warnings(host)


def test_a_path_that_no_manifest_can_hold_loses_only_itself(plain: Host) -> None:
    code = """import os
os.chdir(os.environ['NACRE_OUTPUT_DIR'].encode())
open('kept', 'w').close()
open(b'\\xff' * 200, 'w').close()
for _ in range(25):
    os.mkdir('d' * 200); os.chdir('d' * 200)
open('deep', 'w').close()
"""
    plain.run("python3", "-c", code)
    assert outputs(plain) == {"kept": b""}
    assert "too long a path" in warnings(plain)


def test_artifacts_are_sent_also_after_a_failure_and_known_ones_are_not_sent_again(plain: Host) -> None:
    known = b"known\n"
    plain.api.blobs[blake3(known).hexdigest()] = known
    event = plain.run("sh", "-c", "cd $NACRE_OUTPUT_DIR; echo known > a; echo new > b; exit 3")
    assert event["reason"] == "exit_nonzero"
    assert outputs(plain) == {"a": b"known\n", "b": b"new\n"}
    assert blake3(known).hexdigest() not in plain.api.sent_blobs


def test_no_link_leads_out_of_the_output_folder(host: Host) -> None:
    secret = host.root / "attempts" / "secret"
    secret.write_text("server's own")
    script = f"""cd $NACRE_OUTPUT_DIR; echo x > real; ln -s real inside; ln -s {secret} a
    ln -s /etc/passwd b; ln -s {secret.parent} c; ln -s / d; mkfifo pipe; ln -s nowhere e"""
    host.run("sh", "-c", script)
    assert outputs(host) == {"real": b"x\n", "inside": b"x\n"}
    assert "lead out of the folder" in warnings(host)


def test_an_empty_output_folder_is_not_sent(plain: Host) -> None:
    plain.run("sh", "-c", "mkdir $NACRE_OUTPUT_DIR/empty")
    assert not any(e["type"] == "artifacts" for e in plain.api.events())


def test_a_tracking_file_exchanged_for_a_link_is_not_followed(host: Host) -> None:
    secret = host.root / "attempts" / "secret"
    secret.write_text('{"stolen": 1}\n')
    host.run("sh", "-c", f"rm $NACRE_TRACK_FILE; ln -s {secret} $NACRE_TRACK_FILE; sleep 0.3")
    assert b"stolen" not in host.api.channel("track")


def test_tracking_records_arrive_whole_and_masked(host: Host) -> None:
    lines = '{"key":"hunter2x","value":12345.5,"text":"pw hunter2x!"}\\n{"half'
    script = f"printf '{lines}' >> $NACRE_TRACK_FILE"
    host.run("sh", "-c", script, secrets={"PASSWORD": "hunter2x", "PIN": "12345", "WORD": "value"})
    lines = host.api.channel("track").decode().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"key": "********", "value": 12345.5, "text": "pw ********!"}
    ]


def test_a_record_that_the_server_refuses_does_not_hold_up_the_others(plain: Host) -> None:
    plain.api.refuse = lambda key, body: key.endswith("track") and b"bad" in body
    script = "for i in 1 2 bad 4; do echo '{\"i\":\"'$i'\"}'; done > $NACRE_TRACK_FILE"
    plain.run("sh", "-c", script)
    lines = [json.loads(x)["i"] for x in plain.api.channel("track").decode().splitlines() if x.strip()]
    assert lines == ["1", "2", "4"]
    assert any(e["type"] == "warning" for e in plain.api.events())


def test_a_record_longer_than_a_send_is_left_out_and_said(plain: Host) -> None:
    code = """import os
with open(os.environ['NACRE_TRACK_FILE'], 'w') as f:
    f.write('{"a":1}\\n"' + 'x' * 2_500_000 + '"\\n{"b":2}\\n')
"""
    plain.run("python3", "-c", code)
    lines = [json.loads(x) for x in plain.api.channel("track").decode().splitlines() if x.strip()]
    assert lines == [{"a": 1}, {"b": 2}]
    assert any(e["type"] == "warning" for e in plain.api.events())


def test_two_launches_that_need_one_tree_at_once_both_get_it(boxed: Host) -> None:
    digits = boxed.manifest({f"{i}": b"%d" % i for i in range(3000)})
    boxed.spec("sh", "-c", "ls /data/d | wc -l", inputs=[{"name": "d", "manifest": digits}])
    second = boxed.folder.parent / (boxed.folder.name + "b")
    second.mkdir()
    spec = json.loads((boxed.folder / "spec.json").read_text())
    (second / "spec.json").write_text(
        json.dumps({**spec, "attempt_id": second.name, "rank": 1, "folder": str(second)})
    )
    first = boxed.start()
    boxed.folder = second
    other = boxed.start()
    assert (first.wait(30), other.wait(30)) == (0, 0)
    assert boxed.api.channel("log", 0) == boxed.api.channel("log", 1) == b"3000\n"
    assert os.listdir(boxed.trees) == [digits]
