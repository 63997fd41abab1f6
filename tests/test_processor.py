"""What a processor computes in, from made-up lists of its features."""

from __future__ import annotations

from pathlib import Path

import pytest

from stopcli import processor

ZEN_4 = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512f avx512_bf16 vaes\nbugs\t: none\n"
SAPPHIRE_RAPIDS = "flags\t: avx512f avx512_bf16 avx512_fp16 amx_bf16 amx_tile amx_int8\n"
SKYLAKE = "flags\t: fpu avx2 avx512f avx512bw avx512vl\n"
GRAVITON_3 = "processor\t: 0\nFeatures\t: fp asimd fphp asimdhp bf16 i8mm\n"


@pytest.mark.parametrize(
    ("text", "bfloat16", "float16"),
    [
        (ZEN_4, True, False),
        (SAPPHIRE_RAPIDS, True, True),
        (SKYLAKE, False, False),
        (GRAVITON_3, True, True),
        ("no list of features", False, False),
    ],
)
def test_features_are_read_from_what_linux_lists(
    text: str, *, bfloat16: bool, float16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor.platform, "system", lambda: "Linux")
    processor.CPUINFO.write_text(text)
    assert (processor.has_bfloat16(), processor.has_float16()) == (bfloat16, float16)
    assert processor.computes_in("bfloat16") == bfloat16
    assert processor.computes_in("float16") == float16
    assert processor.computes_in("float32")


def test_a_system_that_does_not_tell_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "nothing")
    monkeypatch.setattr(processor.platform, "system", lambda: "Windows")
    assert not processor.has_bfloat16()


@pytest.mark.parametrize(("answer", "expected"), [("1\n", True), ("0\n", False)])
def test_a_mac_is_asked(answer: str, *, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "nothing")
    monkeypatch.setattr(processor.platform, "system", lambda: "Darwin")
    sysctl = tmp_path / "sysctl"
    sysctl.write_text(f"#!/bin/sh\n[ \"$2\" = hw.optional.arm.FEAT_BF16 ] && printf '{answer.strip()}\\n'\n")
    sysctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    processor._apple_has.cache_clear()
    assert processor.has_bfloat16() == expected
    processor._apple_has.cache_clear()
