"""What the processor can compute with, read from what the system says of it."""

import functools
import platform
import subprocess
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# By Linux's names: products of bfloat16 numbers on x86 (AVX-512, AMX) and on ARM.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
# Likewise of float16 numbers.
_FLOAT16_FLAGS = {"avx512_fp16", "amx_fp16", "fphp", "asimdhp"}
_SYSCTL_SECONDS = 5.0


def computes_in(precision: str) -> bool:
    """Whether the processor has instructions for numbers of 16 bits.

    Without them a library converts each number to float32 and back, which is slower than computing in float32.

    Args:
        precision: `bfloat16` or `float16`; any other is what every processor computes in.
    """
    return {"bfloat16": has_bfloat16, "float16": has_float16}.get(precision, lambda: True)()


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 numbers; False where the system does not tell."""
    return bool(_BFLOAT16_FLAGS & flags()) or _apple_has("FEAT_BF16")


def has_float16() -> bool:
    """Whether the processor computes with float16 numbers; False where the system does not tell."""
    return bool(_FLOAT16_FLAGS & flags()) or _apple_has("FEAT_FP16")


def flags() -> frozenset[str]:
    """The features that Linux lists of the first processor; none on other systems."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


@functools.cache
def _apple_has(feature: str) -> bool:
    if platform.system() != "Darwin":
        return False
    command = ["sysctl", "-n", f"hw.optional.arm.{feature}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_SYSCTL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.stdout.strip() == "1"
