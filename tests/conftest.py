"""Shapes and types of every labkit signature are checked in every test."""

from jaxtyping import install_import_hook

install_import_hook("labkit", "beartype.beartype")
