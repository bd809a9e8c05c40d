"""Secrets reach the job that asks for them, and nothing else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from real_server import Server

from nacre.errors import NotFound
from nacre.schema.jobs import JobState

pytestmark = [pytest.mark.timeout(120), pytest.mark.sandbox]


class TestSecrets:
    VALUE = "hunter2-and-more-of-it"
    FILE = "-----BEGIN KEY-----\nQmVob2xkIGEga2V5\n-----END KEY-----\n"

    def test_a_secret_arrives_and_is_in_no_log_record_event_or_file(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        server, value = nacre_server, self.VALUE
        server.run("secret", "set", "PASSWORD", input=f"{value}\n".encode())
        server.run("secret", "set", "key.pem", "--file", input=self.FILE.encode())
        text = (
            "import hashlib, os, sys, nacre\n"
            "value, text = os.environ['PASSWORD'], open('/run/secrets/key.pem').read()\n"
            "print(hashlib.sha256(value.encode()).hexdigest(), hashlib.sha256(text.encode()).hexdigest())\n"
            "nacre.log_param('password', value)\n"
            "nacre.log_metric('loss', 0.5)\n"
            "print(f'the password is {value}.')\n"
            "sys.stdout.write(value[:9]); sys.stdout.flush()\n"
            "sys.stdout.write(value[9:] + '\\n'); sys.stdout.flush()\n"
            "print(text)\n"
            "sys.exit('login failed with ' + value)\n"
        )
        (tmp_path / "main.py").write_text(text)
        words = ("run", "--name", "secretive", "--secret", "PASSWORD", "--secret", "key.pem", "main.py")
        done = server.run(*words, cwd=tmp_path, check=False)
        assert done.returncode == 1
        stars = b"*" * len(value)
        first = (
            f"{hashlib.sha256(value.encode()).hexdigest()} {hashlib.sha256(self.FILE.encode()).hexdigest()}"
        )
        lines = done.stdout.splitlines()
        assert lines[0].decode() == first
        assert lines[1:3] == [b"the password is " + stars + b".", stars]
        assert lines[-1] == b"login failed with " + stars
        job = server.client().jobs.get("secretive")
        assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "exit_nonzero", 1)
        assert job.message == f"The command ended with exit code 1: login failed with {stars.decode()}"
        assert job.record is not None
        assert job.record.secrets == ["PASSWORD", "key.pem"]
        server.assert_gone(job)

        http = server.http()
        project = "/api/v1/projects/default"
        for path in (
            *(f"{project}/jobs/secretive", f"{project}/jobs/secretive/log", f"{project}/runs/{job.run}"),
            *(f"{project}/events", f"{project}/secrets", f"{project}/usage"),
        ):
            answer = http.get(path)
            assert answer.status_code == 200, (path, answer.text)
            assert value not in answer.text, path
            assert "QmVob2xkIGEga2V5" not in answer.text, path
        for file in self.files(server.home):
            data = file.read_bytes()
            assert value.encode() not in data, file
            assert b"QmVob2xkIGEga2V5" not in data, file

    @staticmethod
    def files(home: Path) -> list[Path]:
        """Everything in the home that is not an environment or Nacre's own package."""
        found = []
        for base, folders, names in os.walk(home):
            folders[:] = [name for name in folders if name not in ("environments", "site", "cache")]
            paths = [Path(base, name) for name in names]
            found += [path for path in paths if path.is_file() and path.stat().st_size < 64 * 2**20]
        assert home / "nacre.db" in found
        return found

    def test_a_secret_that_does_not_exist_is_refused_when_the_job_is_sent(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        (tmp_path / "main.py").write_text("print(1)")
        done = nacre_server.run("run", "--secret", "NOTHING", "main.py", cwd=tmp_path, check=False)
        assert done.returncode == 1
        assert "there is no secret NOTHING: set it with 'nacre secret set NOTHING'" in done.stderr.decode()
        nacre_server.client().projects.create("keeper")
        nacre_server.client(project="keeper").secrets.set("ELSEWHERE", "of another project")
        with pytest.raises(NotFound, match="there is no secret ELSEWHERE"):
            nacre_server.submit(commands=["true"], secrets=["ELSEWHERE"])

    def test_files_of_the_server_are_closed_to_other_users(self, nacre_server: Server) -> None:
        for name in ("owner.json", "secret.key"):
            assert (nacre_server.home / name).stat().st_mode & 0o777 == 0o600
        assert (nacre_server.home / "nacre.db").stat().st_mode & 0o077 in (0, 0o044)
        assert nacre_server.home.stat().st_mode & 0o066 == 0
