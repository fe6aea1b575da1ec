"""The rows of one workout to blocks: one block is one exercise as it stands in the workout, with its sets.

Owns where a block ends. The same exercise twice in a row stays two blocks, told apart by set numbers that start again;
an exercise that is returned to, with numbers that go on, stays one block, and then `interleaved` tells the writer that
the order of performance is not the order of the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .set_row import SetRow


@dataclass(slots=True)
class Performed:
    """A set, and the rest and note rows that follow it in the file."""

    row: SetRow
    order: int
    asides: list[SetRow] = field(default_factory=list)


@dataclass(slots=True)
class Block:
    exercise: str
    asides: list[SetRow] = field(default_factory=list)
    """Rest and note rows before the first set."""
    sets: list[Performed] = field(default_factory=list)
    last_number: int | None = None
    """The number of the newest set that has one."""

    def rows(self) -> list[SetRow]:
        """Every row of the block, as the file has them."""
        found = list(self.asides)
        for performed in self.sets:
            found += [performed.row, *performed.asides]
        return found


def to_blocks(rows: list[SetRow], numbered: bool) -> tuple[list[Block], bool]:
    """The blocks of a workout in order of their first rows, and whether they are interleaved.

    Args:
        numbered: whether the dialect numbers sets; without numbers, all rows of an exercise are one block.
    """
    blocks: list[Block] = []
    newest: dict[str, Block] = {}
    current: Block | None = None
    for order, row in enumerate(rows):
        block = newest.get(row.exercise)
        if block is not None and numbered:
            if row.role == "set" and _starts_again(block, row):
                block = _split(block)
                blocks.append(block)
            elif (
                block is not current and row.role != "rest" and row.number is None and row.kind in {"warmup", "normal"}
            ):
                # Back at an exercise with a warm-up or a note: the beginning of a new block.
                block = None
        if block is None:
            block = Block(row.exercise)
            blocks.append(block)
        newest[row.exercise] = current = block
        if row.role == "set":
            block.sets.append(Performed(row, order))
            if row.number is not None:
                block.last_number = row.number
        else:
            (block.sets[-1].asides if block.sets else block.asides).append(row)
    in_blocks = [row.line for block in blocks for row in block.rows()]
    return blocks, in_blocks != [row.line for row in rows]


def _starts_again(block: Block, row: SetRow) -> bool:
    return row.number is not None and block.last_number is not None and row.number <= block.last_number


def _split(block: Block) -> Block:
    """A new block after `block`, which gives up the warm-ups and notes at its end: they belong to what begins."""
    following = Block(block.exercise)
    while len(block.sets) > 1 and block.sets[-1].row.kind == "warmup" and block.sets[-1].row.number is None:
        following.sets.insert(0, block.sets.pop())
    asides = block.sets[-1].asides if block.sets else block.asides
    while asides and asides[-1].role == "note":
        following.asides.insert(0, asides.pop())
    return following
