"""Where tensors live. Chosen once, at the edge; everything inside follows its input."""

from __future__ import annotations

import torch


def choose(device: str) -> torch.device:
    """The device of that name; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        ValueError: the name is unknown to torch, or that device is not there.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    try:
        torch.empty(0, device=device)
        torch.Generator(device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"device={device!r} cannot be used here ({reason}). "
            'Use "auto", "cpu", or a device that torch reports as available.'
        ) from error
    return torch.device(device)
