"""For authors of environment builders: the suite that every builder passes, and one that fails on command.

Example::

    class TestMyBuilder(EnvironmentsSuite):
        @pytest.fixture
        def environments(self, tmp_path):
            return MyBuilder(tmp_path)
"""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3

from nacre.domain.requirements import lacking, logical_lines, pins
from nacre.errors import InvalidSpec
from nacre.ports.environments import Built, Environments, Lock, Log, Source


class FakeEnvironments(Environments):
    """Builds folders with nothing in them but a mark. Every package has the version 1.0 and needs nothing.

    ``fail`` makes the next calls of a method raise; a requirement on ``no-such-package`` cannot be met;
    ``gate``, while it is cleared, holds builds up; ``builds`` lists the digests in the order built.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gate = threading.Event()
        self.gate.set()
        self.builds: list[str] = []
        self.version = "1.0"
        self._lock = threading.Lock()
        self._failures: dict[str, list[Exception]] = {}

    def fail(self, method: str, error: Exception, times: int = 1) -> None:
        """The next ``times`` calls of ``method`` raise ``error``."""
        self._failures.setdefault(method, []).extend([error] * times)

    def _may_fail(self, method: str) -> None:
        with self._lock:
            failures = self._failures.get(method)
            if failures:
                raise failures.pop(0)

    def resolve(self, source: Source, log: Log) -> Lock:
        self._may_fail("resolve")
        log("fake resolve")
        text = source.requirements or source.lock or ""
        if source.pyproject is not None:
            text = "\n".join(re.findall(r'"([^"]+)"', source.pyproject.partition("dependencies")[2]))
        return self._pin(logical_lines(text), source.python or "3.11")

    def _pin(self, lines: list[str], python: str) -> Lock:
        found = {}
        for line in lines:
            name, _, version = line.partition("==")
            bare = re.split(r"[<>=!~\[; ]", name)[0]
            if bare == "no-such-package":
                raise InvalidSpec("the requirements cannot be met: Because no-such-package was not found.")
            found[bare] = version.split()[0] if version else self.version
        if not found:
            raise InvalidSpec("the requirements are empty: name at least one package")
        text = "".join(f"{name}=={version} --hash=sha256:0\n" for name, version in sorted(found.items()))
        return Lock(text, python, str(blake3(f"{text}{python}".encode()).hexdigest()))

    def extend(self, lock: Lock, requirements: list[str], log: Log) -> Lock:
        self._may_fail("extend")
        if not lacking(lock.text, requirements):
            return lock
        have = [f"{name}=={version}" for name, version in pins(lock.text).items()]
        return self._pin([*have, *requirements], lock.python)

    def find(self, digest: str) -> Built | None:
        try:
            size = json.loads((self.root / digest / "mark").read_text())
        except FileNotFoundError:
            return None
        return Built(digest, str(self.root / digest), "/usr", size, 0.5)

    def build(self, lock: Lock, log: Log) -> Built:
        self._may_fail("build")
        self.gate.wait(30)
        with self._lock:
            found = self.find(lock.digest)
            if found is not None:
                return found
            log("fake build")
            self.builds.append(lock.digest)
            (self.root / lock.digest).mkdir(parents=True)
            (self.root / lock.digest / "mark").write_text(str(len(lock.text)))
        found = self.find(lock.digest)
        assert found is not None
        return found

    def delete(self, digest: str) -> None:
        self._may_fail("delete")
        (self.root / digest / "mark").unlink(missing_ok=True)
        if (self.root / digest).exists():
            (self.root / digest).rmdir()


class EnvironmentsSuite:
    """What the port promises. Give a fixture ``environments``; the suite builds the package ``six``."""

    wanted = "six"

    def lock(self, environments: Environments, lines: list[str] | None = None) -> Lock:
        """A lock of the suite's package."""
        return environments.resolve(Source(requirements="\n".join(lines or [self.wanted])), lambda _: None)

    def test_a_lock_pins_every_package_with_a_hash(self, environments: Environments) -> None:
        lock = self.lock(environments)
        assert self.wanted in pins(lock.text)
        assert all("--hash=" in line for line in logical_lines(lock.text) if not line.startswith("-"))
        assert re.fullmatch(r"3\.\d+", lock.python)

    def test_the_same_requirements_have_the_same_digest(self, environments: Environments) -> None:
        lock, again = self.lock(environments), self.lock(environments)
        assert lock == again
        assert re.fullmatch(r"[0-9a-f]{64}", lock.digest)

    def test_a_lock_is_a_source_and_comes_out_pinning_the_same(self, environments: Environments) -> None:
        lock = self.lock(environments)
        again = environments.resolve(Source(lock=lock.text), lambda _: None)
        assert pins(again.text) == pins(lock.text)

    def test_an_unknown_package_is_explained(self, environments: Environments) -> None:
        with pytest.raises(InvalidSpec, match="no-such-package"):
            self.lock(environments, [self.wanted, "no-such-package"])

    def test_empty_requirements_are_refused(self, environments: Environments) -> None:
        with pytest.raises(InvalidSpec):
            self.lock(environments, ["# nothing"])

    def test_nothing_is_found_before_it_is_built(self, environments: Environments) -> None:
        assert environments.find(self.lock(environments).digest) is None

    def test_what_was_built_is_found_again(self, environments: Environments) -> None:
        built = environments.build(self.lock(environments), lambda _: None)
        assert environments.find(built.digest) == built
        assert Path(built.folder).is_dir()
        assert Path(built.interpreter).is_dir()
        assert built.size > 0
        assert built.seconds >= 0

    def test_building_again_gives_the_same_one(self, environments: Environments) -> None:
        lock = self.lock(environments)
        assert environments.build(lock, lambda _: None) == environments.build(lock, lambda _: None)

    def test_many_builders_at_once_share_one(self, environments: Environments) -> None:
        lock = self.lock(environments)
        with ThreadPoolExecutor(4) as pool:
            built = list(pool.map(lambda _: environments.build(lock, lambda _: None), range(4)))
        assert len({b.folder for b in built}) == 1
        assert len({b.seconds for b in built}) == 1

    def test_extending_by_what_is_there_changes_nothing(self, environments: Environments) -> None:
        lock = self.lock(environments)
        assert environments.extend(lock, [self.wanted], lambda _: None) == lock

    def test_extending_keeps_the_pins_and_adds(self, environments: Environments) -> None:
        lock = self.lock(environments)
        more = environments.extend(lock, ["idna"], lambda _: None)
        assert pins(more.text).items() >= pins(lock.text).items()
        assert "idna" in pins(more.text)
        assert more.digest != lock.digest

    def test_deleting_makes_it_absent_and_may_be_repeated(self, environments: Environments) -> None:
        lock = self.lock(environments)
        environments.build(lock, lambda _: None)
        environments.delete(lock.digest)
        environments.delete(lock.digest)
        assert environments.find(lock.digest) is None
        assert environments.build(lock, lambda _: None).digest == lock.digest
