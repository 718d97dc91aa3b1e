"""The catalogue of models is well formed."""

from __future__ import annotations

import re

import pytest

from jackfield.models import ModelPackage, catalogue

SHA256 = re.compile(r"[0-9a-f]{64}")


def test_the_default_models_are_in_it() -> None:
    assert {"smollm2-135m-instruct", "whisper-tiny.en", "piper-en-us-joe", "silero-vad"} <= set(catalogue())


@pytest.mark.parametrize("package", catalogue().values(), ids=lambda package: package.name)
def test_an_entry_is_complete(package: ModelPackage) -> None:
    assert package.kind in ("llm", "stt", "tts", "vad")
    assert package.summary
    assert package.licence
    assert package.source
    assert SHA256.fullmatch(package.wheel_sha256)
    assert package.wheel_bytes > 0
    assert all(SHA256.fullmatch(member.sha256) and member.size_bytes > 0 for member in package.members)
    names = [member.name for member in package.members]
    assert len(set(names)) == len(names)
    assert package.main is None or package.main in names
