"""Few-shot tasks over drawings that were embedded beforehand.

An inductive network embeds a drawing in the same way in every task. So to evaluate on
thousands of tasks it need see each drawing of a set once, and not once a task.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from labkit.tasks.characters import FewShot

AT_ONCE = 200


@dataclass(frozen=True, kw_only=True)
class Embedded(FewShot):
    """The same tasks as the `FewShot` of the same fields, with features for x.

    Attributes:
        embeddings: of drawing d of class c in row c · drawings + d.

    Raises:
        ValueError: there is not one row of features for each drawing; or as `FewShot`.
    """

    embeddings: Float[Tensor, "rows D"]

    def __post_init__(self) -> None:
        super().__post_init__()
        classes, drawings = self.characters.images.shape[:2]
        e = self.embeddings
        if e.ndim != 2 or len(e) != classes * drawings or not e.is_floating_point():
            raise ValueError(
                f"embeddings must be floats [rows, D], a row for each of the "
                f"{classes} · {drawings} drawings, and are {e.dtype} {list(e.shape)}."
            )
        if e.device != self.characters.images.device:
            raise ValueError(
                f"embeddings are on {e.device} and the characters on "
                f"{self.characters.images.device}: they must be on one device."
            )

    @classmethod
    def by(cls, network: nn.Module, tasks: FewShot) -> Embedded:
        """Embed every drawing with the network as it is, which must be inductive."""
        images = tasks.characters.images.flatten(0, 1)[:, None]
        with torch.no_grad():
            embeddings = torch.cat(
                [network(some / 255) for some in images.split(AT_ONCE)]
            )
        return cls(
            tasks.characters,
            tasks.way,
            tasks.shot,
            tasks.query,
            tasks.within_alphabet,
            tasks.permuted_labels,
            embeddings=embeddings,
        )

    def _examples(
        self, row: Int64[Tensor, "T way examples"]
    ) -> Float[Tensor, "T way*examples D"]:
        return self.embeddings[row.flatten(1)]
