"""Which files of a code folder go with a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.errors import InvalidSpec, NotFound
from nacre.sdk.snapshot import snapshot_files


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def names(root: Path) -> list[str]:
    return [file.name for file in snapshot_files(root)]


class TestWhatIsTaken:
    def test_everything_but_what_no_job_needs(self, tmp_path: Path) -> None:
        write(tmp_path, **{"train.py": "", ".env.example": "", "pkg__mod.py": ""})
        for name in (".git", ".venv", "__pycache__", ".nacre"):
            for folder in (tmp_path / name, tmp_path / "pkg" / name):
                folder.mkdir(parents=True)
                (folder / "file").write_text("")
        assert names(tmp_path) == [".env.example", "pkg/mod.py", "train.py"]

    def test_ignored_files(self, tmp_path: Path) -> None:
        write(
            tmp_path,
            **{
                ".gitignore": "*.pt\n/data/\n!keep.pt\n",
                "train.py": "",
                "model.pt": "",
                "keep.pt": "",
                "data__x.csv": "",
                "sub__data__y.csv": "",
                "sub__deep__m.pt": "",
            },
        )
        assert names(tmp_path) == [".gitignore", "keep.pt", "sub/data/y.csv", "train.py"]

    def test_nested_ignore_files_have_the_last_word(self, tmp_path: Path) -> None:
        write(
            tmp_path,
            **{
                ".gitignore": "*.log\n",
                "a.log": "",
                "sub__.gitignore": "!important.log\nsecret.txt\n",
                "sub__important.log": "",
                "sub__other.log": "",
                "sub__secret.txt": "",
                "secret.txt": "",
            },
        )
        assert names(tmp_path) == [".gitignore", "secret.txt", "sub/.gitignore", "sub/important.log"]

    def test_nacreignore_overrules_gitignore(self, tmp_path: Path) -> None:
        write(
            tmp_path,
            **{
                ".gitignore": "*.csv\n",
                ".nacreignore": "!small.csv\nnotes/\n",
                "small.csv": "",
                "big.csv": "",
            },
        )
        write(tmp_path, notes__todo="")
        assert names(tmp_path) == [".gitignore", ".nacreignore", "small.csv"]

    def test_a_folder_inside_a_repository_obeys_the_ones_above(self, tmp_path: Path) -> None:
        (tmp_path / ".git").mkdir()
        write(tmp_path, **{".gitignore": "*.ckpt\n/code/out/\n", "code__train.py": "", "code__a.ckpt": ""})
        write(tmp_path, code__out__x="")
        assert names(tmp_path / "code") == ["train.py"]

    def test_outside_a_repository_the_ones_above_do_not_count(self, tmp_path: Path) -> None:
        write(tmp_path, **{".gitignore": "*.py\n", "code__train.py": ""})
        assert names(tmp_path / "code") == ["train.py"]

    def test_links_out_are_refused_unless_ignored(self, tmp_path: Path) -> None:
        code = write(tmp_path / "code", **{"train.py": ""})
        (code / "data").symlink_to("/etc")
        with pytest.raises(InvalidSpec, match="the link data leads out of the folder, to /etc"):
            names(code)
        (code / ".nacreignore").write_text("data\n")
        assert names(code) == [".nacreignore", "train.py"]


class TestLimits:
    def test_too_many_bytes_names_the_largest(self, tmp_path: Path) -> None:
        write(tmp_path, **{"train.py": "x", "big.bin": "x" * 3000, "bigger.bin": "x" * 4000})
        with pytest.raises(InvalidSpec, match=r"bigger\.bin .*, big\.bin .*\.nacreignore"):
            snapshot_files(tmp_path, max_bytes=5000)

    def test_too_many_files_names_the_fullest_folder(self, tmp_path: Path) -> None:
        write(tmp_path, **{f"sub__{n}": "" for n in range(12)}, **{"train.py": ""})
        with pytest.raises(InvalidSpec, match=r"more than 10 files, most of them in sub/.*\.nacreignore"):
            snapshot_files(tmp_path, max_files=10)

    def test_no_folder_and_no_files(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            snapshot_files(tmp_path / "absent")
        with pytest.raises(InvalidSpec, match="no files"):
            snapshot_files(tmp_path)

    def test_nacres_own_home_with_its_tokens_is_left_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tmp_path / "demo-home"
        home.mkdir()
        (home / "owner.json").write_text("{}")
        (tmp_path / "main.py").write_text("")
        monkeypatch.setenv("NACRE_HOME", str(home))
        assert [file.name for file in snapshot_files(tmp_path)] == ["main.py"]
        with pytest.raises(InvalidSpec, match="your token in it"):
            snapshot_files(home)
