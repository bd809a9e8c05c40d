"""Prices: what an hour costs, from a file that the owner of the machine edits."""

from __future__ import annotations

import logging
import threading
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nacre.domain.money import Rates, micros
from nacre.errors import InvalidSpec, NotFound, Unavailable
from nacre.schema.base import Name
from nacre.schema.resources import InstanceType, Resources, Size

log = logging.getLogger("nacre.prices")

DEFAULTS = """\
# What work on this machine costs. Edit and save: it counts for what starts from then on (what runs keeps
# the price it started with). A mistake is reported in the server's log, and the last good prices stay.

currency = "USD"

# A job that is 'spot' costs this part of the price, and makes room for others when it has to.
spot = 0.5

# Per hour, in units of the currency.
[rates]
cpu = 0.02     # one CPU
memory = 0.003 # one GiB of memory
gpu = 0.80     # one GPU of any kind that is not named below

[rates.gpus]
# "NVIDIA H200" = 3.50

# Named shapes: 'nacre instance create --type cpu.small', or 'instance_type' of a job.
# The price follows from the rates, unless the type says 'price' (per hour).
[types."cpu.small"]
cpu = 1
memory = "2GB"

[types."cpu.medium"]
cpu = 2
memory = "4GB"

[types."cpu.large"]
cpu = 4
memory = "16GB"

[types."gpu.small"]
cpu = 4
memory = "16GB"
gpu = 1

[types."gpu.large"]
cpu = 16
memory = "64GB"
gpu = 4
"""

Amount = Annotated[Decimal, Field(ge=0, le=1_000_000)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Rates(_Section):
    cpu: Amount
    memory: Amount
    gpu: Amount = Decimal(0)
    gpus: dict[str, Amount] = {}


class _Type(_Section):
    cpu: float = Field(gt=0, le=1024)
    memory: Size
    gpu: int = Field(0, ge=0, le=64)
    gpu_name: str | None = None
    price: Amount | None = None


class _PriceFile(_Section):
    currency: str = Field(min_length=1, max_length=12)
    spot: Annotated[Decimal, Field(ge=0, le=1)] = Decimal("0.5")
    rates: _Rates
    types: dict[Name, _Type]


class _Book:
    """The prices of one reading of the file."""

    def __init__(self, file: _PriceFile) -> None:
        self.currency = file.currency
        self.spot = file.spot
        self.rates = Rates(file.rates.cpu, file.rates.memory, file.rates.gpu, file.rates.gpus)
        self.types = {name: self._type(name, shape) for name, shape in file.types.items()}

    def _type(self, name: str, shape: _Type) -> InstanceType:
        if shape.price is not None:
            price = micros(shape.price)
        else:
            price = self.rates.per_hour(shape.cpu, shape.memory, shape.gpu, shape.gpu_name)
        return InstanceType(
            name=name,
            cpu=shape.cpu,
            memory=shape.memory,
            gpu=shape.gpu,
            gpu_name=shape.gpu_name,
            price_per_hour=price,
            currency=self.currency,
        )


class Prices:
    """The file's prices, read again when it has changed. ``problem`` tells of a mistake in it."""

    def __init__(self, file: Path) -> None:
        """Read ``file``; write it with defaults where there is none.

        Raises:
            InvalidSpec: it cannot be understood, and there are no earlier prices to keep.
            Unavailable: it can neither be read nor written.
        """
        self.file = file
        self.problem: str | None = None
        self._lock = threading.Lock()
        if not file.exists():
            try:
                file.write_text(DEFAULTS)
            except OSError as error:
                raise Unavailable(f"cannot write {file}: {error.strerror}") from error
        self._seen = self._stamp()
        self._book = self._parse()

    @property
    def currency(self) -> str:
        """The unit of money, such as ``USD``."""
        return self._current().currency

    def types(self) -> list[InstanceType]:
        """The named shapes, in the file's order."""
        return list(self._current().types.values())

    def type(self, name: str) -> InstanceType:
        """A named shape.

        Raises:
            NotFound: there is none of that name; the sentence lists those that there are.
        """
        found = self._current().types
        if name not in found:
            there = ", ".join(found) or "none"
            raise NotFound(f"there is no instance type {name!r}; there are {there}: see 'nacre offer'")
        return found[name]

    def per_hour(self, resources: Resources) -> int:
        """Micros per hour of these resources, by the rates."""
        return self._current().rates.per_hour(
            resources.cpu, resources.memory, resources.gpu, resources.gpu_name
        )

    def spot(self, price_per_hour: int) -> int:
        """What spot work costs instead, in micros per hour."""
        return int(price_per_hour * self._current().spot)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self.file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _current(self) -> _Book:
        if (stamp := self._stamp()) == self._seen:
            return self._book
        with self._lock:
            if stamp == self._seen:
                return self._book
            try:
                self._book, self.problem = self._parse(), None
                log.info("read new prices from %s", self.file)
            except (InvalidSpec, Unavailable) as error:
                self.problem = f"{error.detail}; the prices from before stay"
                log.warning("%s", self.problem)
            self._seen = stamp
            return self._book

    def _parse(self) -> _Book:
        try:
            raw = tomllib.loads(self.file.read_text(), parse_float=Decimal)
            return _Book(_PriceFile.model_validate(raw))
        except OSError as error:
            raise Unavailable(f"cannot read {self.file}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidSpec(f"{self.file} is not TOML: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"] if part != "[key]")
            what = str(first["msg"]).removeprefix("Value error, ")
            raise InvalidSpec(f"{self.file}: {where}: {what}") from error
