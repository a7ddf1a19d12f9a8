"""Progress bars of long work, on a terminal only: a log file or a pipe gets none."""

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress_bar(items: Iterable[Item], work: str, unit: str, total: int, done: int = 0) -> Iterable[Item]:
    """The items, with a bar in stderr if that is a terminal. done: those of `total` that an earlier attempt did."""
    return tqdm(items, desc=work, unit=f" {unit}", total=total, initial=done, disable=None, leave=False)
