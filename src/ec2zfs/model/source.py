"""What is to be safe. Pure names: nothing is looked up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A dataset at the site that is to be safe, with its children when `recursive`."""

    dataset: str
    recursive: bool = True

    def covers(self, dataset: str) -> bool:
        """Whether the dataset belongs to this source."""
        return dataset == self.dataset or (self.recursive and dataset.startswith(f"{self.dataset}/"))

    def __str__(self) -> str:
        return f"{self.dataset} and its children" if self.recursive else self.dataset
