"""JAX beside PyTorch: imported late and politely, and what passes between the two."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from remix_plugin.packages import check_package

PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"


def check_jaxmarl() -> None:
    """Refuse a machine without JaxMARL, or with another version; does not import it.

    Raises:
        ModuleNotFoundError: if ``jaxmarl``, or ``jax`` below it, is not installed.
        ImportError: if it is not of version 0.2.
    """
    remedy = 'Install it with: pip install "remix_plugin[smax]" (Python 3.11 or newer).'
    try:
        found = version("jaxmarl")
    except PackageNotFoundError:
        raise ModuleNotFoundError(
            f"task=smax/... needs the package jaxmarl, which is not installed. {remedy}"
        ) from None
    if found.split(".")[:2] != ["0", "2"]:
        raise ImportError(
            f"task=smax/... needs jaxmarl >=0.2,<0.3, but {found} is installed: other "
            f"versions have another engine. {remedy}"
        )
    check_package("jax", "task=smax/...")


@lru_cache
def import_smax() -> ModuleType:
    """``jaxmarl.environments.smax``, imported without its messages.

    JAX takes three quarters of a GPU's memory when it starts, unless told otherwise in
    time; PyTorch needs some too.
    """
    check_jaxmarl()
    if "jax" in sys.modules and PREALLOCATE not in os.environ:
        if torch.cuda.is_available():
            warnings.warn(
                "jax was imported before the SMAX task, and may hold three quarters of "
                f"the GPU's memory: set {PREALLOCATE}=false before its import.",
                stacklevel=2,
            )
    else:
        os.environ.setdefault(PREALLOCATE, "false")
    with _quiet():
        return importlib.import_module("jaxmarl.environments.smax")


def jax_device(device: torch.device) -> Any:
    """The JAX device that simulates for tensors on ``device``.

    It is the same one, or the CPU if JAX does not have it, with a warning.
    """
    import jax

    if device.type == "cuda":
        if jax.default_backend() == "gpu":
            return jax.devices("gpu")[device.index or 0]
        warnings.warn(
            f"PyTorch is on {device}, but JAX sees no GPU: SMAX runs on the CPU, and "
            "its results are copied. Install JAX for CUDA (jax[cuda12] or jax[cuda13]) "
            "to run it there.",
            stacklevel=3,
        )
    return jax.devices("cpu")[0]


def to_torch(array: Any, device: torch.device) -> Tensor:
    """A tensor on ``device`` that shares the array's memory where it lies there."""
    return torch.from_dlpack(array).to(device)


def to_jax(tensor: Tensor, device: Any) -> Any:
    """A copy of a tensor for functions that run on a JAX device; int64 becomes int32.

    For the CPU it is a NumPy array, which those functions take faster.
    """
    tensor = tensor.to(torch.int32) if tensor.dtype == torch.int64 else tensor.clone()
    if device.platform == "cpu":
        return tensor.numpy(force=True)
    import jax

    return jax.dlpack.from_dlpack(tensor.contiguous())


def save_tree(tree: Any) -> list[Tensor]:
    """The arrays of a tree as tensors of their own, on the CPU."""
    import jax

    return [torch.from_numpy(np.array(leaf)) for leaf in jax.tree.leaves(tree)]


def load_tree(saved: Sequence[Tensor], like: Any, device: Any) -> Any:
    """A tree on a JAX device, of what :func:`save_tree` has made.

    Args:
        saved: the arrays.
        like: a tree of the same structure, of anything.
        device: where it is to be.
    """
    import jax

    arrays = [array.cpu().numpy() for array in saved]
    tree = jax.tree.unflatten(jax.tree.structure(like), arrays)
    return jax.device_put(tree, device)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep JaxMARL's messages off stdout, and both streams as they were.

    While it is imported it sets them to Python's original ones, and then prints.
    """
    before = sys.stdout, sys.stderr, sys.__stdout__
    sys.stdout = sys.__stdout__ = io.StringIO()  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr, sys.__stdout__ = before  # type: ignore[misc]
