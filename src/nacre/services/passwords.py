"""Passwords under argon2id."""

from __future__ import annotations

import base64
import os
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import SecretStr

_MEMORY_KIB = 19_456
_PASSES = 2
_AT_ONCE = 2


class Passwords:
    """Hashes and checks. Each takes 19 MiB for some 30 ms (OWASP's parameters); at most two run at once."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=1)
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        # of no password: checked for users who do not exist, so that they take as long as those who do
        salt, tag = (base64.b64encode(os.urandom(n)).decode().rstrip("=") for n in (16, 32))
        self._nobody = f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p=1${salt}${tag}"

    def hash(self, password: SecretStr) -> str:
        """What to store."""
        with self._turns:
            return self._hasher.hash(password.get_secret_value())

    def match(self, stored: str | None, password: SecretStr) -> bool:
        """Whether the password is the stored one; the same work, and false, when nothing is stored."""
        with self._turns:
            try:
                self._hasher.verify(stored or self._nobody, password.get_secret_value())
            except (VerificationError, InvalidHashError):
                return False
        return stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether it was hashed with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)
