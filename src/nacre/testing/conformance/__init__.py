"""Suites that a plugin's author runs against the plugin: they say what Nacre relies on."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.engine", f"{__name__}.engine_port")
