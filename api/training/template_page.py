"""The template behind a link as a page, for a person who opens it in a browser.

Owns: the look, the words around it, and how a reader takes a copy: by signing in there, by making an account there, or
by a program.
Refuses to know: what is shown of a template (template_faces.py: no more than in its JSON), and who may see it.

What its owner wrote is text here, whatever it looks like, and no address in it is a link. Without scripts the page
says everything all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from api.pages import Html, Page, element, joined, policy
from api.training import template_words as words
from api.training.template_page_parts import SCRIPT, STYLE

Shown = Mapping[str, Any]

_COPY_POLICY: Final = policy(STYLE, SCRIPT)
_PLAIN_POLICY: Final = policy(STYLE)
# As many parts of a program as are looked through without opening one.
_OPEN_PARTS: Final = 4


def template_page(template: Shown, *, address: str) -> Page:
    """The page of a template as its JSON shows it. address: under which it was asked for, whole."""
    title = template.get("title") or "A template"
    body = joined(_header(template, title), element("div", _exercises(template), _copying(address), class_="all"))
    return Page(_document(title, body, SCRIPT), _COPY_POLICY)


def dead_link_page() -> Page:
    """The page of every link behind which nothing is, whyever."""
    text = "It was withdrawn, or its template is gone, or it is not whole. Whoever gave it to you can give you another."
    header = element("header", _about("Workout template"), element("h1", "This link leads nowhere"))
    return Page(_document("No template", joined(header, element("p", text, class_="dim notes")), None), _PLAIN_POLICY)


def _document(title: str, body: Html, script: str | None) -> str:
    return joined(
        Html('<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">\n'),
        Html('<meta name="robots" content="noindex">\n'),
        element("title", f"{title} · FitAI"),
        Html(f"\n<style>{STYLE}</style>\n"),
        body,
        Html("" if script is None else f"\n<script>{script}</script>"),
        Html("\n</html>\n"),
    )


def _about(text: str) -> Html:
    return element("p", text, class_="about")


def _header(template: Shown, title: str) -> Html:
    exercises, weeks = template["exercises"], template.get("weeks")
    author = template.get("author")
    by = joined(" · by ", element("bdi", author["name"])) if author else ""
    tags = [element("span", each, class_="tag", dir="auto") for each in template.get("tags") or ()]
    return element(
        "header",
        _about("Program" if weeks or _is_program(exercises) else "Workout template"),
        element("h1", title, dir="auto"),
        element("p", words.size(exercises, weeks), by, class_="dim"),
        element("div", *tags, class_="tags") if tags else "",
        _notes(template),
        element("a", "Take a copy", href="#copy", class_="to-copy"),
    )


def _notes(of: Shown) -> Html:
    return element("p", of["notes"], class_="notes", dir="auto") if of.get("notes") else Html()


def _is_program(exercises: Iterable[Shown]) -> bool:
    return any(each.get("week") is not None or each.get("day") is not None for each in exercises)


def _exercises(template: Shown) -> Html:
    exercises: Sequence[Shown] = template["exercises"]
    custom = {each["id"]: each for each in template["custom_exercises"]}
    # In the order of their list, in which one superset follows another.
    supersets = {each: letter for letter, each in _lettered(each.get("superset") for each in exercises)}

    def cards(some: Iterable[Shown]) -> Html:
        return joined(*(_exercise(each, custom.get(each.get("exercise")), supersets) for each in some))

    if not exercises:
        return element("main", element("p", "No exercise stands in it yet.", class_="dim"))
    if not _is_program(exercises):
        return element("main", cards(exercises))
    by_part = sorted(exercises, key=_part)
    parts = [(key, list(some)) for key, some in groupby(by_part, _part)]
    return element(
        "main",
        *(
            element(
                "details",
                element(
                    "summary",
                    element("h2", words.part(week or None, day or None)),
                    element("span", words.count(len(some), "exercise"), class_="dim"),
                ),
                cards(some),
                class_="part",
                open=number == 0 or len(parts) <= _OPEN_PARTS,
            )
            for number, ((week, day), some) in enumerate(parts)
        ),
    )


def _part(exercise: Shown) -> tuple[int, int]:
    """Where it stands in a program; what stands in every week, or on every day, comes first."""
    return exercise.get("week") or 0, exercise.get("day") or 0


def _lettered(ids: Iterable[str | None]) -> Iterator[tuple[str, str]]:
    for number, id in enumerate(dict.fromkeys(filter(None, ids))):
        yield (chr(ord("A") + number) if number < 26 else str(number + 1)), id


def _exercise(exercise: Shown, custom: Shown | None, supersets: Mapping[str, str]) -> Html:
    superset = supersets.get(exercise.get("superset") or "")
    rest = exercise.get("rest_s")
    return element(
        "section",
        element(
            "h3",
            element("bdi", exercise.get("name") or "An exercise that is gone"),
            element("span", f"superset {superset}", class_="tag") if superset else "",
        ),
        element("p", f"{words.duration(rest)} of rest", class_="dim") if rest else "",
        _notes(exercise),
        _sets(exercise["sets"]),
        _how(custom) if custom else "",
        class_="card",
    )


def _sets(sets: Iterable[Shown]) -> Html:
    """The sets in their order, those alike that follow one another together."""
    lines = [(words.kind(each), words.target(each), tuple(words.rules(each))) for each in sets]
    rows = []
    for (kind, target, rules), alike in groupby(lines):
        rows.append(
            element(
                "li",
                element("b", f"{len(list(alike))} ×"),
                element(
                    "span",
                    target,
                    element("i", kind) if kind else "",
                    *(element("small", each) for each in rules),
                ),
            )
        )
    return element("ol", *rows, class_="sets") if rows else Html()


def _how(custom: Shown) -> Html:
    """How an exercise is done that is in no catalog."""
    muscles = [each.replace("_", " ") for each in custom.get("primary_muscles") or ()]
    needs = [each.replace("_", " ") for each in custom.get("equipment") or ()]
    facts = [f"{name}: {', '.join(each)}." for name, each in (("Muscles", muscles), ("Equipment", needs)) if each]
    steps = custom.get("instructions") or ()
    source = [str(custom[each]) for each in ("author", "licence", "source_url") if custom.get(each)]
    if not (facts or steps or source):
        return Html()
    return element(
        "details",
        element("summary", "How it is done"),
        element("p", " ".join(facts), class_="dim") if facts else "",
        element("ol", *(element("li", each, dir="auto") for each in steps)) if steps else "",
        element("p", " · ".join(source), class_="dim", dir="auto") if source else "",
        class_="how",
    )


def _copying(address: str) -> Html:
    command = f'curl -X POST \\\n  -H "Authorization: Bearer $TOKEN" \\\n  {address}/copy'
    return element(
        "aside",
        element(
            "div",
            element("h2", "Take a copy"),
            element(
                "p",
                "It becomes a template of your own account here, to train and to change; this one stays as it is.",
            ),
            element("p", "", id="told", role="status"),
            element(
                "form",
                element("label", "Mail address", _input("email", "email", "username")),
                element("label", "Password", _input("password", "password", "current-password")),
                element("label", Html('<input id="new" type="checkbox">'), "I have no account here yet", class_="tick"),
                element("label", "Your name", _input("name", "text", "name"), id="naming", hidden=True),
                element("button", "Sign in and copy", id="button"),
                id="form",
                hidden=True,
            ),
            element(
                "details",
                element("summary", "Or by a program"),
                element(
                    "p",
                    "An account is made in a terminal by ",
                    element("code", "fitai sign-up"),
                    ", or by a program with ",
                    element("code", "POST /api/users/register"),
                    ". Whoever has an access token takes the copy with:",
                ),
                element("pre", command),
                class_="how",
            ),
            class_="card",
        ),
        id="copy",
    )


def _input(id: str, type: str, autocomplete: str) -> Html:
    return Html(f'<input id="{id}" type="{type}" autocomplete="{autocomplete}" required>')
