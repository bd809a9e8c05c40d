"""Pushing and pulling against a real server: what is sent, what survives a kill, what is refused."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nacre.errors import Conflict, InvalidSpec, NotFound, TooLarge, Unavailable
from nacre.ports.blobs import PART_BYTES, blob_path
from nacre.sdk.push import PushProgress, push_files
from nacre.sdk.resources.blobs import Blobs
from nacre.sdk.resources.data import Data
from nacre.sdk.transport import Transport
from nacre.testing.blobs import digest_of
from nacre.testing.data_server import DataServer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("nacre.sdk.hashing._SETTLED_NS", 0)  # files of this test are seconds old
    return tmp_path / "home"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DataServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    with DataServer(folder) as found:
        yield found


@pytest.fixture
def transport(server: DataServer) -> Iterator[Transport]:
    found = Transport(server.url, "ann")
    yield found
    found.close()


@pytest.fixture
def data(transport: Transport) -> Data:
    return Data(transport, "vision")


class Counting(PushProgress):
    """Counts bytes; ``then`` is called with the total after each arrival."""

    def __init__(self, then: Callable[[int], None] = lambda _total: None) -> None:
        self.read = self.total = self.asked = 0
        self._lock = threading.Lock()
        self._then = then

    def hashed(self, size: int) -> None:
        with self._lock:
            self.read += size

    def lacking(self, size: int) -> None:
        self.asked += size

    def sent(self, size: int) -> None:
        with self._lock:
            self.total += size
            self._then(self.total)


def folder_of(root: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


class TestRoundTrip:
    def test_a_folder_comes_back_as_it_was(self, data: Data, tmp_path: Path) -> None:
        source = folder_of(
            tmp_path / "in",
            a=b"",
            sub__deep__b=b"b" * 3_000_000,
            c=os.urandom(17 * 2**20),
            d=b"b" * 3_000_000,
        )
        (source / "sub" / "deep" / "b").chmod(0o755)
        made = data.push(source, "digits", note="hello")
        assert (made.number, made.files, made.note, made.user) == (1, 4, "hello", "ann")
        found = data.pull("digits@1", tmp_path / "out")
        assert found.manifest == made.manifest
        assert contents(tmp_path / "out") == contents(source)
        assert os.access(tmp_path / "out" / "sub" / "deep" / "b", os.X_OK)
        assert (tmp_path / "out" / "a").stat().st_mode & 0o111 == 0

    def test_a_file(self, data: Data, tmp_path: Path) -> None:
        source = folder_of(tmp_path, table=b"1,2,3")
        data.push(source / "table", "numbers")
        data.pull("numbers", tmp_path / "out")
        assert contents(tmp_path / "out") == {"table": b"1,2,3"}

    def test_equal_folders_have_equal_manifests(self, data: Data, tmp_path: Path) -> None:
        one = data.push(folder_of(tmp_path / "one", b=b"2", a__x=b"1"), "one")
        two = data.push(folder_of(tmp_path / "two", a__x=b"1", b=b"2"), "two")
        assert one.manifest == two.manifest

    def test_push_files_gives_the_manifest_of_any_files(
        self, transport: Transport, server: DataServer, tmp_path: Path
    ) -> None:
        folder_of(tmp_path, x=b"1", y=b"22")
        digest = push_files(transport, "vision", [(tmp_path / "x", "code/main.py"), (tmp_path / "y", "z")])
        manifest = server.wired.blobs.take_manifest("prj_vision", digest)
        assert [(f.path, f.size) for f in manifest.files] == [("code/main.py", 1), ("z", 2)]
        with pytest.raises(InvalidSpec, match="twice"):
            push_files(transport, "vision", [(tmp_path / "x", "same"), (tmp_path / "y", "same")])
        with pytest.raises(InvalidSpec, match="plain relative path"):
            push_files(transport, "vision", [(tmp_path / "x", "../up")])

    def test_deleting(self, data: Data, tmp_path: Path) -> None:
        data.push(folder_of(tmp_path / "in", a=b"1"), "digits")
        data.push(folder_of(tmp_path / "in", a=b"2"), "digits")
        data.delete_version("digits", 2)
        assert data.get("digits").versions == [1]
        data.delete("digits")
        assert data.list().items == []
        with pytest.raises(NotFound):
            data.get_version("digits", 1)


class TestOnlyWhatIsMissing:
    def test_an_unchanged_folder_is_neither_read_nor_sent(self, data: Data, tmp_path: Path) -> None:
        source = folder_of(tmp_path / "in", a=b"1" * 100, b=os.urandom(17 * 2**20))
        data.push(source, "digits")
        counts = Counting()
        again = data.push(source, "digits", progress=counts)
        assert (counts.read, counts.total) == (0, 0)
        assert (again.number, again.created) == (1, False)

    def test_only_the_changed_file_is_sent(self, data: Data, tmp_path: Path) -> None:
        source = folder_of(tmp_path / "in", a=b"1" * 100, b=b"2" * 5000)
        data.push(source, "digits")
        folder_of(source, a=b"3" * 100)
        counts = Counting()
        assert data.push(source, "digits", progress=counts).number == 2
        assert counts.asked == 100
        assert counts.read == 100

    def test_the_same_content_twice_is_sent_once(self, data: Data, tmp_path: Path) -> None:
        counts = Counting()
        data.push(folder_of(tmp_path / "in", a=b"1" * 5000, b=b"1" * 5000), "digits", progress=counts)
        assert counts.asked == 5000

    def test_another_project_must_send_everything(
        self, data: Data, transport: Transport, server: DataServer, tmp_path: Path
    ) -> None:
        source = folder_of(tmp_path / "in", a=b"1" * 100, b=os.urandom(17 * 2**20))
        data.push(source, "digits")
        counts = Counting()
        Data(transport, "speech").push(source, "digits", progress=counts)
        assert counts.asked == 100 + 17 * 2**20
        assert len(list(server.wired.store.digests())) == 3

    def test_a_spoilt_cache_only_costs_time(self, data: Data, home: Path, tmp_path: Path) -> None:
        source = folder_of(tmp_path / "in", a=b"1")
        (home / "cache").mkdir(parents=True)
        (home / "cache" / "hashes.db").write_bytes(b"this is no database" * 100)
        for number in (1, 2, 3):
            folder_of(source, a=str(number).encode() * number)
            assert data.push(source, "digits").number == number

    def test_a_damaged_blob_is_sent_again(self, data: Data, server: DataServer, tmp_path: Path) -> None:
        source = folder_of(tmp_path / "in", a=b"precious")
        data.push(source, "digits")
        path = blob_path(server.wired.store.root, digest_of(b"precious"))
        path.chmod(0o644)
        path.write_bytes(b"prec")
        with pytest.raises(Unavailable, match=digest_of(b"precious")):
            data.pull("digits", tmp_path / "out")
        counts = Counting()
        data.push(source, "digits", progress=counts)
        assert counts.asked == 8
        data.pull("digits", tmp_path / "out")
        assert contents(tmp_path / "out") == {"a": b"precious"}


_PUSH = """
import sys
from pathlib import Path
from nacre.sdk.push import PushProgress
from nacre.sdk.resources.data import Data
from nacre.sdk.transport import Transport

class Telling(PushProgress):
    def sent(self, size):
        print(size, flush=True)

transport = Transport(sys.argv[1], "ann")
made = Data(transport, "vision").push(Path(sys.argv[2]), sys.argv[3], progress=Telling())
print("made", made.number, made.manifest, flush=True)
"""


def start_push(server: DataServer, source: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PUSH, server.url, str(source), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class TestKills:
    def test_after_a_kill_only_the_rest_is_sent(
        self, server: DataServer, data: Data, tmp_path: Path
    ) -> None:
        size = 10 * PART_BYTES
        source = folder_of(tmp_path / "in", big=os.urandom(size), small=b"small")
        pusher = start_push(server, source, "digits")
        assert pusher.stdout is not None
        arrived = sum(int(pusher.stdout.readline()) for _ in range(4))
        pusher.kill()
        arrived += sum(int(line) for line in pusher.stdout if line.strip().isdigit())
        pusher.wait()
        pusher.stdout.close()
        assert 0 < arrived < size
        with pytest.raises(NotFound):
            data.get("digits")
        counts = Counting()
        made = data.push(source, "digits", progress=counts)
        assert made.number == 1
        assert counts.asked <= size + 5 - arrived
        assert made.manifest == data.get_version("digits").manifest
        data.pull("digits", tmp_path / "out")
        assert contents(tmp_path / "out") == contents(source)

    def test_ten_processes_push_the_same_while_one_is_killed(
        self, server: DataServer, data: Data, tmp_path: Path
    ) -> None:
        files = {f"f{n}": os.urandom(50_000) for n in range(40)}
        source = folder_of(tmp_path / "in", big=os.urandom(4 * PART_BYTES + 9), **files)
        pushers = [start_push(server, source, f"digits{n}") for n in range(10)]
        assert pushers[0].stdout is not None
        pushers[0].stdout.readline()
        pushers[0].kill()
        try:
            answers = [pusher.communicate(timeout=200)[0] for pusher in pushers]
        finally:
            for pusher in pushers:
                pusher.kill()
        assert [pusher.returncode for pusher in pushers[1:]] == [0] * 9
        manifests = {answer.split()[-1] for answer in answers[1:]}
        assert len(manifests) == 1
        store = server.wired.store
        assert len(list(store.digests())) == 42
        assert all(store.verify(digest) for digest in list(store.digests()))
        assert [data.get_version(f"digits{n}").number for n in range(1, 10)] == [1] * 9

    def test_a_pull_goes_on_where_it_was(
        self, data: Data, server: DataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = os.urandom(3_000_000)
        made = data.push(folder_of(tmp_path / "in", a=content, b=b"small"), "digits")
        own = tmp_path / "out" / ".nacre-pull"
        own.mkdir(parents=True)
        (own / made.manifest).touch()
        (own / digest_of(content)).write_bytes(content[:2_000_000])
        fetched: list[int] = []
        monkeypatch.setattr("nacre.sdk.pull._Puller._pieces", _counting_pieces(fetched), raising=True)
        data.pull("digits", tmp_path / "out")
        assert contents(tmp_path / "out") == {"a": content, "b": b"small"}
        assert sorted(fetched) == [5, 1_000_000]


def _counting_pieces(fetched: list[int]):  # type: ignore[no-untyped-def]
    from nacre.sdk.pull import _Puller

    original = _Puller._pieces

    def pieces(self, entry, have):  # type: ignore[no-untyped-def]
        count = 0
        for piece in original(self, entry, have):
            count += len(piece)
            yield piece
        fetched.append(count)

    return pieces


class TestRefused:
    def test_an_empty_folder(self, data: Data, tmp_path: Path) -> None:
        (tmp_path / "in" / "sub").mkdir(parents=True)
        with pytest.raises(InvalidSpec, match="has no files"):
            data.push(tmp_path / "in", "digits")

    def test_nothing_there(self, data: Data, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="there is no file or folder"):
            data.push(tmp_path / "absent", "digits")

    def test_a_link_out_of_the_folder(self, data: Data, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("s")
        source = folder_of(tmp_path / "in", a=b"1")
        (source / "sneaky").symlink_to("../secret")
        with pytest.raises(InvalidSpec, match="the link sneaky leads out of the folder"):
            data.push(source, "digits")
        (source / "sneaky").unlink()
        (source / "sneaky").symlink_to("/etc")
        with pytest.raises(InvalidSpec, match="sneaky leads out of the folder, to /etc"):
            data.push(source, "digits")

    def test_a_link_that_leads_nowhere_or_in_a_circle(self, data: Data, tmp_path: Path) -> None:
        source = folder_of(tmp_path / "in", a=b"1")
        (source / "broken").symlink_to("absent")
        with pytest.raises(InvalidSpec, match="broken leads nowhere"):
            data.push(source, "digits")
        (source / "broken").unlink()
        (source / "sub").mkdir()
        (source / "sub" / "round").symlink_to("..")
        with pytest.raises(InvalidSpec, match="sub/round leads in a circle"):
            data.push(source, "digits")

    def test_links_inside_are_followed(self, data: Data, tmp_path: Path) -> None:
        source = folder_of(tmp_path / "in", real__a=b"1")
        (source / "file").symlink_to("real/a")
        (source / "folder").symlink_to("real")
        data.push(source, "digits")
        names = [f.path for f in data.files("digits").files]
        assert names == ["file", "folder/a", "real/a"]

    def test_a_pipe(self, data: Data, tmp_path: Path) -> None:
        source = folder_of(tmp_path / "in", a=b"1")
        os.mkfifo(source / "pipe")
        with pytest.raises(InvalidSpec, match="pipe is a socket, pipe or device"):
            data.push(source, "digits")

    @pytest.mark.parametrize("size", [100, 3 * 2**20, 20 * 2**20])
    def test_a_file_that_changes_during_the_push(self, data: Data, tmp_path: Path, size: int) -> None:
        source = folder_of(tmp_path / "in", victim=os.urandom(size), big=os.urandom(17 * 2**20))

        class Writing(PushProgress):
            def lacking(self, size: int) -> None:
                with (source / "victim").open("r+b") as file:
                    file.write(b"changed!")

        with pytest.raises(Conflict, match="victim changed while it was being pushed"):
            data.push(source, "digits", progress=Writing())
        with pytest.raises(NotFound):
            data.get("digits")
        assert data.push(source, "digits").number == 1

    def test_a_file_that_changes_after_it_was_sent(self, data: Data, tmp_path: Path) -> None:
        source = folder_of(tmp_path / "in", victim=b"before")

        class Writing(PushProgress):
            def sent(self, size: int) -> None:
                (source / "victim").write_bytes(b"after!")

        with pytest.raises(Conflict, match="victim changed"):
            data.push(source, "digits", progress=Writing())
        with pytest.raises(NotFound):
            data.get("digits")

    def test_a_file_that_goes_away(self, data: Data, tmp_path: Path) -> None:
        source = folder_of(tmp_path / "in", victim=b"before", other=b"1")

        class Removing(PushProgress):
            def lacking(self, size: int) -> None:
                (source / "victim").unlink()

        with pytest.raises(Conflict, match="victim changed"):
            data.push(source, "digits", progress=Removing())

    def test_a_pull_into_a_folder_that_has_files(self, data: Data, tmp_path: Path) -> None:
        data.push(folder_of(tmp_path / "in", a=b"new", sub__b=b"1"), "digits")
        out = folder_of(tmp_path / "out", a=b"old", mine=b"mine")
        with pytest.raises(Conflict, match="is not empty"):
            data.pull("digits", out)
        data.pull("digits", out, force=True)
        assert contents(out) == {"a": b"new", "sub/b": b"1", "mine": b"mine"}

    def test_a_pull_is_not_led_elsewhere_by_a_link(self, data: Data, tmp_path: Path) -> None:
        data.push(folder_of(tmp_path / "in", sub__b=b"1", c=b"2"), "digits")
        out, elsewhere = tmp_path / "out", folder_of(tmp_path / "elsewhere", c=b"mine")
        out.mkdir()
        (out / "sub").symlink_to(elsewhere)
        with pytest.raises(Conflict, match="is a link"):
            data.pull("digits", out, force=True)
        (out / "sub").unlink()
        (out / "c").unlink(missing_ok=True)
        (out / "c").symlink_to(elsewhere / "c")
        data.pull("digits", out, force=True)
        assert contents(elsewhere) == {"c": b"mine"}
        assert (out / "c").read_bytes() == b"2"


class TestMany:
    def test_ten_thousand_small_files(self, data: Data, tmp_path: Path) -> None:
        source = tmp_path / "in"
        for number in range(10_000):
            path = source / f"{number % 100}" / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"%d" % number * 30)
        requests = Counting()
        made = data.push(source, "many", progress=requests)
        assert made.files == 10_000
        assert len(data.files("many").files) == 10_000
        again = Counting()
        assert not data.push(source, "many", progress=again).created
        assert (again.read, again.total) == (0, 0)


class TestRoutes:
    def test_ranges(self, transport: Transport) -> None:
        blobs = Blobs(transport, "vision")
        content = os.urandom(3_000_000)
        digest = digest_of(content)
        blobs.put(digest, content)
        assert blobs.get(digest) == content
        assert blobs.get(digest, start=1000) == content[1000:]
        assert blobs.get(digest, start=5, end=2_000_000) == content[5:2_000_000]
        url = f"/api/v1/projects/vision/blobs/{digest}"
        tail = transport.http.get(url, headers={"Range": "bytes=-7"})
        assert (tail.status_code, tail.content) == (206, content[-7:])
        assert tail.headers["content-range"] == "bytes 2999993-2999999/3000000"
        assert transport.http.get(url, headers={"Range": "bytes=3000000-"}).status_code == 416
        for odd in ("bytes=5-2", "items=1-2", "bytes=-", "bytes=0-1,3-4"):
            assert transport.http.get(url, headers={"Range": odd}).status_code in (200, 416)
        whole = transport.http.get(url)
        assert whole.headers["x-content-type-options"] == "nosniff"
        assert whole.headers["content-disposition"] == "attachment"

    def test_bytes_that_do_not_hash(self, transport: Transport) -> None:
        blobs = Blobs(transport, "vision")
        with pytest.raises(InvalidSpec, match="do not hash to"):
            blobs.put(digest_of(b"a"), b"b")
        with pytest.raises(InvalidSpec, match=digest_of(b"a")):
            blobs.put_many({digest_of(b"x"): b"x", digest_of(b"a"): b"b"})
        assert blobs.missing([digest_of(b"x")]) == [digest_of(b"x")]

    def test_many_are_read_at_once(self, transport: Transport) -> None:
        blobs = Blobs(transport, "vision")
        sent = {digest_of(data): data for data in (b"", b"1", os.urandom(50_000))}
        blobs.put_many(sent)
        assert blobs.get_many([*sent, *sent]) == sent
        with pytest.raises(NotFound, match=digest_of(b"absent")):
            blobs.get_many([*sent, digest_of(b"absent")])
        with pytest.raises(NotFound):
            Blobs(transport, "speech").get_many(list(sent))
        large = [os.urandom(9 * 2**20) for _ in range(2)]
        for data in large:
            blobs.put(digest_of(data), data)
        with pytest.raises(TooLarge, match="ask for fewer"):
            blobs.get_many([digest_of(data) for data in large])

    def test_a_batch_that_is_cut_off(self, transport: Transport) -> None:
        for body in (b"short", bytes(32) + (5).to_bytes(8, "big") + b"1234"):
            answer = transport.http.post("/api/v1/projects/vision/blobs", content=body)
            assert answer.status_code == 422
            assert "in the middle" in answer.json()["detail"]

    def test_too_much_at_once(self, transport: Transport) -> None:
        blobs = Blobs(transport, "vision")
        with pytest.raises(TooLarge):
            blobs.put_part(digest_of(b""), 2 * PART_BYTES, 0, bytes(PART_BYTES + 1))
        with pytest.raises(TooLarge):
            blobs.put_many({digest_of(b""): bytes(17 * 2**20)})

    def test_a_digest_that_is_none(self, transport: Transport) -> None:
        for wrong in ("a" * 63, "A" * 64, "z" * 64):
            answer = transport.http.get(f"/api/v1/projects/vision/blobs/{wrong}")
            assert answer.status_code in (404, 422)

    def test_a_sender_that_goes_away_leaves_nothing(self, server: DataServer) -> None:
        digest = digest_of(b"x" * 1000)
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(
                f"PUT /api/v1/projects/vision/blobs/{digest} HTTP/1.1\r\nHost: x\r\n"
                "Authorization: Bearer ann\r\nContent-Length: 1000\r\n\r\n".encode()
                + b"x" * 500
            )
        transport = Transport(server.url, "ann")
        assert Blobs(transport, "vision").missing([digest]) == [digest]
        transport.close()
        assert list(server.wired.store.digests()) == []
