"""Seeds for the parts of a run, each a pure function of the run's seed.

Nothing in stopcli draws from a global random generator: initial weights, the order of the rows and every augmentation
draw from a seed derived here. So a position in a run determines everything that is random about it, and nothing hidden
has to be saved.
"""

import hashlib


def derive_seed(seed: int, *stream: str | int) -> int:
    """A seed for one stream of a run's randomness.

    Args:
        seed: the run's seed, ≥ 0.
        stream: what the seed is for, from the general to the special: `derive_seed(0, "weights", "hidden")`.

    Returns:
        An int in [0, 2**31), which every seed argument of Keras, TensorFlow and NumPy accepts. Different streams give
        unrelated seeds; the same stream always gives the same one, on every machine and in every version of Python.
    """
    # "/" cannot join two streams into one: each part is written with its length.
    text = "/".join(f"{len(str(part))}:{part}" for part in (seed, *stream))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") & 0x7FFFFFFF
