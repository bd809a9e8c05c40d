"""Datasets: pushing, listing, pulling."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nacre.errors import InvalidSpec, NotFound
from nacre.schema.base import Page, check_name
from nacre.schema.data import Dataset, DatasetFiles, DatasetVersion, VersionCreated
from nacre.schema.previews import Preview
from nacre.schema.summaries import DataSummary
from nacre.sdk.archives import Limits, unpack
from nacre.sdk.files import LocalFile, walk
from nacre.sdk.pull import Fetched, pull_files
from nacre.sdk.push import PushProgress, push_local
from nacre.sdk.resources.base import Noun


class Data(Noun):
    """Data by name, in immutable versions written ``name@number``."""

    def push(
        self,
        path: str | Path,
        name: str,
        *,
        note: str = "",
        extract: bool = False,
        limits: Limits | None = None,
        progress: PushProgress | None = None,
        project: str | None = None,
    ) -> VersionCreated:
        """Send a file, a folder or an archive and make the next version of dataset ``name`` of it.

        Only what the project does not have is sent; a push that was killed goes on where it was when it is
        repeated. When the content is that of the latest version, that version is returned, with
        ``created`` false.

        Args:
            extract: unpack the archive at ``path`` first, within ``limits``.

        Raises:
            NotFound: there is nothing at ``path``.
            InvalidSpec: no files, a link that leaves the folder, an unsafe archive, a bad ``name``.
            Conflict: a file changed meanwhile; no version was made.
        """
        try:
            check_name(name)
        except ValueError as error:
            raise InvalidSpec(str(error)) from error
        place = Path(path)
        if not extract:
            return self._push(place, name, note, progress, project)
        with tempfile.TemporaryDirectory(prefix="nacre-extract-") as folder:
            unpack(place, Path(folder), limits)
            return self._push(Path(folder), name, note, progress, project)

    def _push(
        self, path: Path, name: str, note: str, progress: PushProgress | None, project: str | None
    ) -> VersionCreated:
        if path.is_dir():
            files = list(walk(path))
            if not files:
                raise InvalidSpec(f"the folder {path} has no files: there is nothing to push")
        elif path.exists():
            files = [LocalFile.look(path.resolve(), path.name)]
        else:
            raise NotFound(f"there is no file or folder {path}")
        pushed = push_local(self._transport, self._in(project), files, progress=progress)
        return self.create(name, pushed.manifest, note=note, project=project)

    def create(
        self, name: str, manifest: str, *, note: str = "", project: str | None = None
    ) -> VersionCreated:
        """Make the next version of a manifest whose blobs were sent before."""
        answer: VersionCreated = self._transport.call(
            "data.create",
            VersionCreated,
            project=self._in(project),
            dataset=name,
            json={"manifest": manifest, "note": note},
            repeatable=True,
            timeout_s=600.0,
        )
        return answer

    def list(
        self, *, cursor: str | None = None, limit: int = 100, project: str | None = None
    ) -> Page[Dataset]:
        """Datasets, newest first."""
        answer: Page[Dataset] = self._transport.call(
            "data.list", Page[Dataset], project=self._in(project), query={"cursor": cursor, "limit": limit}
        )
        return answer

    def get(self, name: str, *, project: str | None = None) -> Dataset:
        """A dataset with the numbers of its versions."""
        answer: Dataset = self._transport.call("data.get", Dataset, project=self._in(project), dataset=name)
        return answer

    def get_version(
        self, name: str, version: int | str = "latest", *, project: str | None = None
    ) -> DatasetVersion:
        """A version by number, or the latest."""
        answer: DatasetVersion = self._transport.call(
            "data.get_version", DatasetVersion, project=self._in(project), dataset=name, version=version
        )
        return answer

    def files(
        self, name: str, version: int | str = "latest", *, project: str | None = None
    ) -> DatasetFiles:
        """A version with all of its files."""
        answer: DatasetFiles = self._transport.call(
            "data.files", DatasetFiles, project=self._in(project), dataset=name, version=version
        )
        return answer

    def preview(
        self,
        name: str,
        path: str = "",
        *,
        version: int | str = "latest",
        offset: int = 0,
        limit: int = 100,
        project: str | None = None,
    ) -> Preview:
        """What a file of a version looks like, or what is in a folder of it.

        Args:
            offset: the first row of a table, or item of a folder.
            limit: so many of them, 1000 at most.
        """
        answer: Preview = self._transport.call(
            "data.preview",
            Preview,
            project=self._in(project),
            dataset=name,
            version=version,
            path=path,
            query={"offset": offset, "limit": limit},
        )
        return answer

    def file(
        self,
        name: str,
        path: str,
        *,
        version: int | str = "latest",
        start: int = 0,
        end: int | None = None,
        project: str | None = None,
    ) -> bytes:
        """The bytes of one file of a version, from ``start`` up to ``end`` (not included; null: all)."""
        headers = None
        if start or end is not None:
            headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        with self._transport.stream(
            "data.file",
            project=self._in(project),
            dataset=name,
            version=version,
            path=path,
            headers=headers,
        ) as answer:
            return answer.read()

    def summary(
        self, name: str, version: int | str = "latest", *, project: str | None = None
    ) -> DataSummary:
        """Statistics of a version: classes, columns of tables, images, arrays. Large ones are sampled."""
        answer: DataSummary = self._transport.call(
            "data.summary",
            DataSummary,
            project=self._in(project),
            dataset=name,
            version=version,
            timeout_s=120.0,
        )
        return answer

    def update(
        self, name: str, version: int | str, *, note: str, project: str | None = None
    ) -> DatasetVersion:
        """Change the note of a version; its files never change."""
        answer: DatasetVersion = self._transport.call(
            "data.update",
            DatasetVersion,
            project=self._in(project),
            dataset=name,
            version=version,
            json={"note": note},
        )
        return answer

    def pull(
        self,
        ref: str,
        dest: str | Path,
        *,
        force: bool = False,
        fetched: Fetched | None = None,
        project: str | None = None,
    ) -> DatasetVersion:
        """Fetch the files of ``name`` or ``name@number`` into a folder, verified.

        Args:
            force: write into a folder that holds other files, replacing those of the same names.
            fetched: called from several threads with the number of bytes that are there now.

        Raises:
            Conflict: the folder is not empty.
        """
        name, version = split_ref(ref)
        found = self.files(name, version, project=project)
        pull_files(
            self._transport,
            self._in(project),
            found.version.manifest,
            found.files,
            Path(dest),
            force=force,
            fetched=fetched,
        )
        return found.version

    def delete(self, name: str, *, project: str | None = None) -> None:
        """Delete a dataset with every version; bytes that nothing else needs are freed later."""
        self._transport.call("data.delete", None, project=self._in(project), dataset=name)

    def delete_version(self, name: str, version: int | str, *, project: str | None = None) -> None:
        """Delete one version. Its number is not used again."""
        self._transport.call(
            "data.delete_version", None, project=self._in(project), dataset=name, version=version
        )


def split_ref(ref: str) -> tuple[str, str]:
    """``name@3`` as its name and version; without a version, ``latest``."""
    name, _, version = ref.partition("@")
    return name, version or "latest"
