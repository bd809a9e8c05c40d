"""Data that cannot be pushed, bytes that decayed, names that lead elsewhere: refused and named."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest
from blake3 import blake3
from real_server import Server

from nacre.errors import Conflict, InvalidSpec
from nacre.schema.jobs import JobState
from nacre.sdk.push import PushProgress

pytestmark = pytest.mark.timeout(120)


def refused(server: Server, *words: str | Path, sentence: str) -> None:
    """The command exits with 1, says the sentence, and no dataset was made or changed."""
    before = server.http().get("/api/v1/projects/default/data").json()
    done = server.run(*words, check=False)
    assert done.returncode == 1, done
    assert done.stdout == b""
    assert sentence in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert server.http().get("/api/v1/projects/default/data").json() == before


class TestFolders:
    def test_a_link_out_of_the_folder_is_refused_by_name(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        (tmp_path / "outside").write_text("private")
        folder = tmp_path / "pictures"
        folder.mkdir()
        (folder / "a.txt").write_text("a")
        (folder / "sly").symlink_to("../outside")
        sentence = f"the link sly leads out of the folder, to {tmp_path}/outside"
        refused(nacre_server, "data", "push", folder, "--name", "linked", sentence=sentence)
        (folder / "sly").unlink()
        (folder / "sly").symlink_to("/etc")
        sentence = "the link sly leads out of the folder, to /etc"
        refused(nacre_server, "data", "push", folder, "--name", "linked", sentence=sentence)

    def test_code_with_a_link_out_is_refused_too(self, nacre_server: Server, tmp_path: Path) -> None:
        (tmp_path / "main.py").write_text("print(open('key').read())")
        (tmp_path / "key").symlink_to("/etc/passwd")
        before = nacre_server.client().jobs.list()
        done = nacre_server.run("run", "main.py", cwd=tmp_path, check=False)
        assert done.returncode == 1
        assert "the link key leads out of the folder, to /etc/passwd" in done.stderr.decode()
        assert nacre_server.client().jobs.list() == before

    def test_a_link_in_a_circle_is_refused(self, nacre_server: Server, tmp_path: Path) -> None:
        (tmp_path / "round").mkdir()
        (tmp_path / "round" / "again").symlink_to(".")
        refused(
            nacre_server,
            *("data", "push", tmp_path / "round", "--name", "round"),
            sentence="the link again leads in a circle: remove it",
        )

    def test_an_empty_folder_is_refused(self, nacre_server: Server, tmp_path: Path) -> None:
        (tmp_path / "empty" / "deep").mkdir(parents=True)
        refused(
            nacre_server,
            *("data", "push", tmp_path / "empty", "--name", "empty"),
            sentence=f"the folder {tmp_path}/empty has no files: there is nothing to push",
        )

    def test_a_pipe_is_refused_and_not_waited_for(self, nacre_server: Server, tmp_path: Path) -> None:
        (tmp_path / "odd").mkdir()
        os.mkfifo(tmp_path / "odd" / "pipe")
        refused(
            nacre_server,
            *("data", "push", tmp_path / "odd", "--name", "odd"),
            sentence="pipe is a socket, pipe or device: only files can be pushed",
        )


class Meddler(PushProgress):
    """Writes to a file at a chosen moment of a push."""

    def __init__(self, moment: str, file: Path, text: bytes, keep_times: bool = False) -> None:
        self._moment, self._file, self._text, self._keep = moment, file, text, keep_times

    def _write(self, moment: str) -> None:
        if moment != self._moment:
            return
        self._moment = ""
        before = self._file.stat()
        with self._file.open("r+b") as stream:
            stream.write(self._text)
        if self._keep:
            os.utime(self._file, ns=(before.st_atime_ns, before.st_mtime_ns))

    def lacking(self, size: int) -> None:
        self._write("hashed")

    def sent(self, size: int) -> None:
        self._write("sent")


class TestChanges:
    @pytest.mark.parametrize("moment", ["hashed", "sent"])
    @pytest.mark.parametrize("size", [1000, 3 * 2**20, 20 * 2**20])
    def test_a_file_that_changes_during_the_push_makes_no_version(
        self, nacre_server: Server, tmp_path: Path, moment: str, size: int
    ) -> None:
        file = tmp_path / "growing.bin"
        file.write_bytes(os.urandom(size))
        meddler = Meddler(moment, file, os.urandom(1000))
        with pytest.raises(
            Conflict, match=r"growing\.bin changed while it was being pushed, so nothing was"
        ):
            nacre_server.client().data.push(tmp_path, f"changing-{moment}-{size}", progress=meddler)
        assert "changing" not in nacre_server.run("data", "ls").stdout.decode()

    def test_a_change_that_hides_its_time_is_found_by_its_bytes(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        file = tmp_path / "sly.bin"
        file.write_bytes(os.urandom(2000))
        meddler = Meddler("hashed", file, os.urandom(2000), keep_times=True)
        with pytest.raises(Conflict, match=r"sly\.bin changed while it was being pushed"):
            nacre_server.client().data.push(tmp_path, "sly", progress=meddler)
        assert nacre_server.client().data.push(tmp_path, "sly").number == 1

    def test_a_log_that_is_written_all_the_time_is_refused_by_the_command(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        file = tmp_path / "busy.log"
        file.write_bytes(os.urandom(8 * 2**20))
        over = threading.Event()

        def write() -> None:
            with file.open("ab") as stream:
                while not over.is_set():
                    stream.write(b"one more line\n")
                    stream.flush()
                    time.sleep(0.001)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            sentence = "busy.log changed while it was being pushed, so nothing was committed: push again"
            refused(nacre_server, "data", "push", file, "--name", "busy", sentence=sentence)
        finally:
            over.set()
            thread.join()


class TestNames:
    @pytest.mark.parametrize(
        "name", ["../evil", "a/../../b", "..", "/etc/passwd", "UPPER", "a b", "x" * 65]
    )
    def test_a_name_that_is_none_is_refused_by_the_command(
        self, nacre_server: Server, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "a.txt").write_text("a")
        refused(nacre_server, "data", "push", tmp_path / "a.txt", "--name", name, sentence="is not a name")

    @pytest.mark.parametrize("name", ["..%2Fevil", "%2E%2E", "a%2F..%2F..%2Fb", "%2Fetc%2Fpasswd", "a%00b"])
    def test_a_name_that_leads_elsewhere_reaches_nothing_of_the_api(
        self, nacre_server: Server, name: str
    ) -> None:
        digest = blake3(b"").hexdigest()
        http = nacre_server.http()
        project = "/api/v1/projects/default"
        answers = [
            http.post(f"{project}/data/{name}/versions", json={"manifest": digest}),
            http.get(f"{project}/data/{name}"),
            http.get(f"{project}/blobs/{name}"),
            http.put(f"{project}/blobs/{name}", content=b"x"),
            http.get(f"{project}/jobs/{name}"),
            http.get(f"{project}/jobs/{name}/log"),
            http.get(f"{project}/models/{name}/versions/latest"),
            http.put(f"{project}/secrets/{name}", json={"value": "x"}),
            http.get(f"/api/v1/projects/{name}/jobs"),
        ]
        for answer in answers:
            assert answer.status_code in (404, 405, 422), (answer.request.url, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize(
        "path", ["../../owner.json", "/etc/cron.d/x", "a/../../b", "a//b", "./a", "", "a\0b"]
    )
    def test_a_path_in_a_manifest_that_leaves_the_folder_is_refused(
        self, nacre_server: Server, path: str
    ) -> None:
        client = nacre_server.client()
        data = b"some bytes"
        digest = blake3(data).hexdigest()
        client.blobs.put(digest, data)
        entry = {"digest": digest, "executable": False, "path": path, "size": len(data)}
        manifest = json.dumps({"files": [entry]}).encode()
        client.blobs.put(blake3(manifest).hexdigest(), manifest)
        with pytest.raises(InvalidSpec, match=r"the path .* (is not a plain relative path|has a NUL byte)"):
            client.data.create("escape", blake3(manifest).hexdigest())
        spec = {"commands": ["true"], "code": blake3(manifest).hexdigest()}
        answer = nacre_server.http().post("/api/v1/projects/default/jobs", json=spec)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_spec")

    @pytest.mark.parametrize(
        "change",
        [
            {"workdir": "../.."},
            {"workdir": "/etc"},
            {"name": "../up"},
            {"inputs": {"../up": "digits"}},
            {"environment": "../base"},
            {"secrets": ["../../secret.key"]},
        ],
    )
    def test_no_field_of_a_job_leads_elsewhere(
        self, nacre_server: Server, change: dict[str, object]
    ) -> None:
        answer = nacre_server.http().post(
            "/api/v1/projects/default/jobs", json={"commands": ["true"]} | change
        )
        assert answer.status_code in (404, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"

    def test_no_command_reaches_another_thing_through_dots(self, nacre_server: Server) -> None:
        for words in (("data", "delete", "-y", ".."), ("delete", "-y", "../.."), ("stop", ".")):
            done = nacre_server.run(*words, check=False)
            assert done.returncode == 1
            assert "is not a name: it is empty, '.' or '..', or has '/' in it" in done.stderr.decode()
        assert nacre_server.client().projects.get().name == "default"


class TestArchives:
    def test_an_archive_bomb_is_refused_while_it_unpacks(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        bomb = tmp_path / "bomb.zip"
        with (
            zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("zeros", "w", force_zip64=True) as stream,
        ):
            for _ in range(256):
                stream.write(bytes(2**20))
        assert bomb.stat().st_size < 2 * 2**20
        temporary = tmp_path / "tmp"
        temporary.mkdir()
        began = time.monotonic()
        done = nacre_server.run(
            *("data", "push", bomb, "--extract", "--name", "bomb"),
            check=False,
            env={"TMPDIR": str(temporary)},
        )
        assert time.monotonic() - began < 60
        assert done.returncode == 1
        assert (
            "bomb.zip was not unpacked: it unpacks to more than 200 times its size, which looks like an "
            "archive bomb. If it is not, unpack it yourself and push the folder"
        ) in done.stderr.decode()
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize("kind", ["zip", "tar"])
    @pytest.mark.parametrize("path", ["../../evil", "/tmp/nacre-evil", "a/../../evil"])
    def test_a_member_that_leaves_the_archive_is_refused(
        self, nacre_server: Server, tmp_path: Path, kind: str, path: str
    ) -> None:
        packed = tmp_path / f"sly.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr(path, "evil")
        else:
            with tarfile.open(packed, "w") as tar:
                info = tarfile.TarInfo(path)
                info.size = 4
                tar.addfile(info, io.BytesIO(b"evil"))
        with pytest.raises(InvalidSpec, match="is not a plain relative path"):
            nacre_server.client().data.push(packed, "sly-archive", extract=True)
        assert not Path("/tmp/nacre-evil").exists()

    def test_a_tar_that_writes_through_a_link_is_refused(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        packed = tmp_path / "through.tar"
        with tarfile.open(packed, "w") as tar:
            link = tarfile.TarInfo("way")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
            tar.addfile(link)
            info = tarfile.TarInfo("way/written")
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
        with pytest.raises(InvalidSpec):
            nacre_server.client().data.push(packed, "through", extract=True)
        assert not (tmp_path / "written").exists()


@pytest.mark.sandbox
class TestManyFiles:
    def test_ten_thousand_files_reach_a_job_fast_and_stay_as_they_are(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        folder = tmp_path / "many"
        for number in range(100):
            (folder / f"{number:02}").mkdir(parents=True)
            for other in range(100):
                (folder / f"{number:02}" / f"{other:02}.txt").write_bytes(f"{number} {other}\n".encode())
        done = nacre_server.run("--output", "json", "data", "push", folder, "--name", "many")
        assert json.loads(done.stdout)["files"] == 10_000
        text = (
            "import os, sys\nroot = os.environ['NACRE_INPUT_MANY']\n"
            "found = [os.path.join(b, n) for b, _, names in os.walk(root) for n in names]\n"
            "print(len(found), sum(os.path.getsize(f) for f in found), open(root + '/42/07.txt').read())\n"
            "for act in (lambda: open(found[0], 'ab'), lambda: os.remove(found[0]),\n"
            "            lambda: os.chmod(found[0], 0o777), lambda: open(root + '/new', 'w')):\n"
            "    try:\n        act()\n    except OSError as error:\n        print(error.strerror)\n"
        )
        took = []
        for _ in range(2):  # the first one makes the tree, the second finds it
            job = nacre_server.submit({"main.py": text}, inputs={"many": "many@1"})
            ended = nacre_server.wait(job)
            nacre_server.assert_gone(ended)
            assert ended.state is JobState.SUCCEEDED, ended.message
            attempt = ended.attempts[0]
            assert attempt.started_at is not None
            took.append((attempt.started_at - attempt.created_at).total_seconds())
            size = sum(file.stat().st_size for file in folder.rglob("*.txt"))
            lines = nacre_server.log(ended).decode().splitlines()
            assert lines[0] == f"10000 {size} 42 7"
            assert lines[2:] == ["Permission denied"] + ["Read-only file system"] * 3
        print(f"10,000 files: {took[0]:.2f} s from attempt to running at first, then {took[1]:.2f} s")
        assert took[0] < 60
        assert took[1] < max(took[0], 3)
