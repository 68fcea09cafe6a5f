"""What a learner, a distribution of tasks or a function is made of, in plain words.

Two trainings of one fingerprint are one training. It is flat, a text for each part by
name, so that the parts that differ can be named: `learner.inner_steps 1 -> 5`.

Numbers and texts stand for themselves, tensors and arrays for their shape and checksum,
functions for their name and for what they were made with: the arguments of a `partial`,
the variables of a closure. What has no content to compare (a generator, a file, a lock)
stands for its type.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (bool, int, float, complex, type(None), torch.dtype, np.generic, PurePath)


def of_learner(learner: nn.Module) -> dict[str, str]:
    """The kinds and attributes of all its modules; and of its parameters, whose values
    training changes, the shape, the type of number, and whether they are frozen."""
    seen: set[int] = set()
    found: dict[str, str] = {}
    for path, module in learner.named_modules():
        found |= dict(_module(f"learner.{path}".rstrip("."), module, seen))
    for path, parameter in learner.named_parameters():
        frozen = "" if parameter.requires_grad else ", frozen"
        found[f"learner.{path}"] = f"{_kind(parameter)}{frozen}"
    return found


def of(name: str, value: Any) -> dict[str, str]:
    """The fingerprint of a value of that name."""
    return dict(_parts(name, value, set()))


def lineage(value: object) -> str:
    """The class of the value and those it is derived from."""
    return " < ".join(_called(kind) for kind in type(value).__mro__[:-1])


def _parts(name: str, value: Any, seen: set[int]) -> Iterator[tuple[str, str]]:
    if isinstance(value, PLAIN):
        yield name, repr(value)
        return
    if isinstance(value, str | bytes):
        text = repr(value)
        yield name, text if len(text) < 100 else f"{crc32(text.encode())}"
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, nn.Parameter):
        yield name, _kind(value)
    elif isinstance(value, Tensor):
        yield name, f"{_kind(value)} {_checksum(value)}"
    elif isinstance(value, np.ndarray):
        yield name, f"{value.dtype}{list(value.shape)} {crc32(value.tobytes())}"
    elif isinstance(value, type | BuiltinFunctionType | ModuleType):
        yield name, _called(value)
    elif isinstance(value, partial):
        yield from _parts(name, value.func, seen)
        yield from _parts(f"{name}.args", value.args, seen)
        yield from _parts(name, value.keywords, seen)
    elif isinstance(value, FunctionType):
        yield from _function(name, inspect.unwrap(value), seen)
    elif isinstance(value, MethodType):
        yield from _parts(name, value.__func__, seen)
        yield from _parts(f"{name}.self", value.__self__, seen)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _parts(f"{name}.{key}", item, seen)
    elif isinstance(value, list | tuple):
        yield name, f"{len(value)} items"
        for place, item in enumerate(value):
            yield from _parts(f"{name}.{place}", item, seen)
    elif isinstance(value, Set):
        yield name, repr(sorted(map(repr, value)))
    elif isinstance(value, nn.Module):
        for path, module in value.named_modules():
            yield from _module(f"{name}.{path}".rstrip("."), module, seen)
        for path, tensor in value.state_dict().items():
            yield from _parts(f"{name}.{path}", tensor, seen)
    else:
        yield name, _called(type(value))
        for key, attribute in _attributes(value).items():
            yield from _parts(f"{name}.{key}", attribute, seen)


def _function(
    name: str, function: FunctionType, seen: set[int]
) -> Iterator[tuple[str, str]]:
    code = function.__code__
    unnamed = "" if function.__name__ != "<lambda>" else f" {crc32(code.co_code)}"
    yield name, _called(function) + unnamed
    if unnamed:  # what tells two lambdas apart, which share a name
        plain = [value for value in code.co_consts if isinstance(value, PLAIN)]
        yield from _parts(f"{name}.constants", (*plain, *code.co_names), seen)
    variables = inspect.getclosurevars(function).nonlocals
    defaults = function.__defaults__, function.__kwdefaults__
    yield from _parts(name, variables, seen)
    yield from _parts(f"{name}.defaults", defaults, seen)


def _module(name: str, module: nn.Module, seen: set[int]) -> Iterator[tuple[str, str]]:
    """Its kind and what was set on it, without its weights, and what torch keeps."""
    yield name, _called(type(module))
    of_torch = vars(nn.Module())
    for key, attribute in vars(module).items():
        if key not in of_torch:
            yield from _parts(f"{name}.{key}", attribute, seen)


def _attributes(value: object) -> dict[str, Any]:
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return getattr(value, "__dict__", {})


def _called(value: Any) -> str:
    name = getattr(value, "__qualname__", value.__name__)
    module = getattr(value, "__module__", None)
    return name if module is None else f"{module}.{name}"


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _checksum(tensor: Tensor) -> int:
    values = tensor.detach().cpu().contiguous()
    return crc32(values.flatten().view(torch.uint8).numpy().tobytes())
