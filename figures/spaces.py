"""The spaces that a person trains in, and what in them counts for that person.

Owns: whose a set is, what a move leaves behind, and which record of an exercise is meant, where spaces differ.

Refuses to know: what a set is worth (`lifts.py`).

Invariants
    P1  In a person's own space sets without an athlete, or with themselves as athlete, count. In a shared space a set
        counts for its athlete (without one: for the workout's owner), and in a workout with participants only where
        they wrote themselves in. Nobody can lift for somebody else.
    P2  The person's own space comes first, then the others in the order of their ids.
    P3  What another shown record was moved from counts no more. One in a shared space moves only what stands there.
    P4  A shared space cannot change what an exercise is that the person or the catalog knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from figures.books import Book, Shelf
from figures.forms import Block, Exercise, Set, Workout
from figures.lifts import kilograms
from figures.quantities import Quantity


@dataclass(frozen=True, slots=True)
class Person:
    """Whose history it is. user: their id. space: their personal space's id."""

    user: str
    space: str


class Spaces:
    """A book for each space of a person, in order (P2)."""

    def __init__(self, person: Person, catalog: Mapping[str, Exercise]) -> None:
        self.person = person
        self.own = Book()
        self._catalog = catalog
        self._books: dict[str, Book] = {person.space: self.own}

    def __iter__(self) -> Iterator[Book]:
        return iter(self._books.values())

    def items(self) -> Iterator[tuple[str, Book]]:
        """(id, book) of every space, in order."""
        return iter(self._books.items())

    def book(self, space: str) -> Book:
        """The book of a space, a new one where there is none yet."""
        book = self._books.get(space)
        if book is None:
            book = self._books[space] = Book()
            first, *others = self._books
            self._books = {each: self._books[each] for each in (first, *sorted(others))}
        return book

    def leave(self, space: str) -> Book | None:
        """Take a shared space's book away, and return it."""
        return self._books.pop(space, None) if space != self.person.space else None

    def moved_set(self, space: str, id: str) -> bool:
        """Whether a set was moved from where it stands (P3)."""
        return any(_is_named(book.sets, id) for book in (self._books[space], self.own))

    def moved_block(self, space: str, id: str) -> bool:
        """Whether a workout's exercise was moved, with all its sets."""
        return any(_is_named(book.blocks, id) for book in (self._books[space], self.own))

    def is_theirs(self, book: Book, workout: str, athlete: str | None) -> bool:
        """Whether a set that names this athlete, or nobody, counts for the person (P1)."""
        user = self.person.user
        if book is self.own:
            return athlete is None or athlete == user
        owner = book.owner(workout)
        if (athlete or owner) != user:
            return False
        if workout in book.participants.by["workout"]:
            return bool(self._wrote_themselves_in(book, workout))
        return owner == user

    def said_bodyweight(self, book: Book, id: str, workout: Workout) -> Quantity | None:
        """What a workout says that the person weighed in it, in kg: as a participant, else where it is their own."""
        for participant in self._wrote_themselves_in(book, id):
            if (said := kilograms(book.participants[participant].bodyweight)) is not None:
                return said
        if book is self.own or book.owner(id) == self.person.user:
            return kilograms(workout.bodyweight)
        return None

    def _wrote_themselves_in(self, book: Book, workout: str) -> list[str]:
        """The person's own participants in a workout, by id."""
        user = self.person.user
        return sorted(
            id
            for id in book.participants.by["workout"].of(workout)
            if book.participants[id].athlete == user and (book is self.own or user in book.writers.get(id, ()))
        )

    def exercise(self, id: str, book: Book | None = None) -> Exercise | None:
        """An exercise as the person knows it (P4), else as a book does; without one, as the first that has it does."""
        found = self.own.exercises.get(id) or self._catalog.get(id)
        if found is not None:
            return found
        books = (book,) if book is not None else self
        return next((each.exercises[id] for each in books if id in each.exercises), None)


def _is_named(shelf: Shelf[Set] | Shelf[Block], id: str) -> bool:
    """Whether something was moved from there. What names itself was moved nowhere."""
    movers = shelf.by["moved_from"].get(id)
    return movers is not None and movers != {id}
