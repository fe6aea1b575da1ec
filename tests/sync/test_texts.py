"""Texts: hostile updates cost their own change and nothing else."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import random
import resource
import signal
import sys

import msgspec
import pycrdt
import pytest

from sync import text_worker
from sync.errors import Unavailable
from sync.texts import LENGTH, BadText, ProcessTextReader, ReadTexts, RewriteText, TextAnswer, TextTimeout
from tests.sync.harness import World


def document(text: str) -> bytes:
    doc = pycrdt.Doc()
    doc["text"] = pycrdt.Text(text)
    return doc.get_update()


async def texts_of(reader: ProcessTextReader, *updates: bytes) -> list[str]:
    return [read.text for read in await reader.read(updates)]


async def test_a_text_is_read_in_the_child_and_rewritten_there() -> None:
    reader = ProcessTextReader()
    try:
        assert await texts_of(reader, document("one"), document("two")) == ["one", "two"]
        before = document("before")
        update = await reader.rewrite(before, "after")
        assert await texts_of(reader, pycrdt.merge_updates(before, update)) == ["after"]
    finally:
        await reader.close()


async def test_the_child_is_out_of_reach_of_a_ctrl_c_at_the_terminal() -> None:
    reader = ProcessTextReader()
    await reader.read([document("one")])
    assert reader._child is not None
    assert os.getpgid(reader._child.pid) != os.getpgid(0)
    await reader.close()


async def test_a_reading_that_never_ends_is_killed_and_the_next_one_works() -> None:
    reader = ProcessTextReader(read_timeout_s=0.0)
    try:
        with pytest.raises(BadText):
            await reader.read([document("x" * 40_000)])
        assert reader.kills == 1
        reader._read_timeout_s = 30.0
        assert await texts_of(reader, document("fine")) == ["fine"]
    finally:
        await reader.close()


async def test_a_reading_that_takes_too_much_of_the_childs_time_is_ended_by_the_kernel() -> None:
    reader = ProcessTextReader(read_cpu_s=0.001, read_timeout_s=60.0)
    try:
        with pytest.raises(TextTimeout):
            await reader.read([document("x" * 2_000_000)] * 20)
        assert reader.kills == 1
    finally:
        await reader.close()


async def test_a_reading_that_waits_for_the_processor_is_not_ended() -> None:
    reader = ProcessTextReader(read_cpu_s=0.1)
    try:
        await reader.read([document("started")])
        assert reader._child is not None
        reader._child.send_signal(signal.SIGSTOP)
        asking = asyncio.create_task(texts_of(reader, document("fine")))
        await asyncio.wait([asking], timeout=0.3)
        reader._child.send_signal(signal.SIGCONT)
        assert await asking == ["fine"]
        assert reader.kills == 0
    finally:
        await reader.close()


async def test_a_child_that_does_not_start_is_no_fault_of_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ProcessTextReader()
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/bin/false")
        with pytest.raises(Unavailable):
            await reader.read([document("fine")])
    assert reader.kills == 0
    assert await texts_of(reader, document("fine")) == ["fine"]
    await reader.close()


async def test_a_cancelled_reading_leaves_no_answer_for_the_next() -> None:
    reader = ProcessTextReader()
    try:
        await reader.read([document("started")])
        asking = asyncio.create_task(reader.read([document("cancelled")]))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await texts_of(reader, document("mine")) == ["mine"]
    finally:
        await reader.close()


async def test_what_cannot_be_read_is_refused_and_no_child_is_asked_for_nothing() -> None:
    reader = ProcessTextReader()
    try:
        assert await reader.read([]) == []
        assert reader._child is None
        with pytest.raises(BadText):
            await reader.read([document("fine"), b"rubbish"])
        with pytest.raises(BadText):
            await reader.rewrite(b"rubbish", "x")
        assert reader.kills == 0
        assert await texts_of(reader, document("fine")) == ["fine"]
    finally:
        await reader.close()


async def test_a_child_that_ended_is_replaced() -> None:
    """By itself before the question, and in the middle of one."""
    reader = ProcessTextReader()
    try:
        await reader.read([document("started")])
        first = reader._child
        assert first is not None
        first.kill()
        await first.wait()
        assert await texts_of(reader, document("second")) == ["second"]
        second = reader._child
        assert second is not None and second.pid != first.pid
        second.send_signal(signal.SIGSTOP)
        asking = asyncio.create_task(reader.read([document("lost")]))
        await asyncio.sleep(0)
        second.kill()
        with pytest.raises(TextTimeout):
            await asking
        assert await texts_of(reader, document("third")) == ["third"]
    finally:
        await reader.close()


async def test_the_child_ignores_an_interrupt_is_bounded_and_ends_with_its_input() -> None:
    """Ctrl-C reaches the whole terminal; the parent closes the pipe, or is gone and with it the pipe."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sync.text_worker", "60", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None and child.stdout is not None
    for words in ("before", "after"):
        question = msgspec.msgpack.encode(ReadTexts([document(words)]))
        child.stdin.write(LENGTH.pack(len(question)) + question)
        (length,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
        answer = msgspec.msgpack.decode(await child.stdout.readexactly(length), type=TextAnswer)
        assert answer.texts == [words]
        assert resource.prlimit(child.pid, resource.RLIMIT_AS)[0] == text_worker.MEMORY_BYTES_MAX
        child.send_signal(signal.SIGINT)
    child.stdin.close()
    assert await child.wait() == 0


async def test_mutated_updates_are_rejected_by_name_or_land_and_the_server_lives(world: World) -> None:
    phone = await world.device()
    draw = random.Random(7)
    good = world.uuid()
    changes = []
    for _ in range(60):
        data = bytearray(document("felt strong today"))
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        changes.append(phone.put("workouts", world.uuid(), notes={"yjs": base64.b64encode(data).decode()}))
    changes.append(phone.put("workouts", good, notes={"yjs": base64.b64encode(document("fine")).decode()}))

    answer = await phone.push(*changes)

    # A byte may also have become U+0000, which no text may hold.
    assert {r.code for r in answer.rejected} <= {"bad_text", "wrong_type"}
    assert answer.rejected
    records = {r["id"]: r for r in await phone.pull()}
    assert records[good]["values"]["notes"]["text"] == "fine"
    assert len(records) == len(changes) - len(answer.rejected)


async def test_an_update_whose_predecessors_are_missing_is_kept_and_shows_when_they_come(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    doc = pycrdt.Doc()
    doc["text"] = text = pycrdt.Text("felt ")
    first = doc.get_update()
    state = doc.get_state()
    text += "strong"
    second = doc.get_update(state)

    await phone.push(phone.put("workouts", workout, notes={"yjs": base64.b64encode(second).decode()}))
    (record,) = await phone.pull()
    assert record["values"]["notes"]["text"] == ""
    await phone.push(phone.put("workouts", workout, notes={"yjs": base64.b64encode(first).decode()}))
    (record,) = await phone.pull()
    assert record["values"]["notes"]["text"] == "felt strong"


async def test_a_text_that_is_written_over_and_over_does_not_fill_its_record(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    doc = pycrdt.Doc()
    doc["text"] = text = pycrdt.Text()
    for number in range(30):
        before = doc.get_state()
        text.clear()
        text += f"{number:04}" * 4_000
        update = {"yjs": base64.b64encode(doc.get_update(before)).decode()}
        answer = await phone.push(phone.put("workouts", workout, notes=update))
        assert answer.rejected == []
    (record,) = await phone.pull()
    assert record["values"]["notes"]["text"] == "0029" * 4_000


def ask(*questions: ReadTexts | RewriteText) -> list[TextAnswer]:
    source = io.BytesIO(b"".join(LENGTH.pack(len(d)) + d for d in map(msgspec.msgpack.encode, questions)))
    sink = io.BytesIO()
    text_worker.serve(source, sink, 60.0)
    sink.seek(0)
    answers = []
    while header := sink.read(LENGTH.size):
        answers.append(msgspec.msgpack.decode(sink.read(LENGTH.unpack(header)[0]), type=TextAnswer))
    return answers


def test_the_child_answers_every_frame_and_names_what_it_cannot_read() -> None:
    fine, bad, new = ask(ReadTexts([document("one")]), ReadTexts([b"rubbish"]), RewriteText(b"", "new"))
    assert (fine.texts, fine.compacted, fine.error) == (["one"], [None], None)
    assert bad.texts is None and bad.error
    assert new.update is not None
    assert ask(ReadTexts([new.update]))[0].texts == ["new"]


def test_the_child_gives_a_smaller_state_of_a_large_text_that_was_rewritten() -> None:
    doc = pycrdt.Doc()
    doc["text"] = text = pycrdt.Text("x" * 6_000)
    first = doc.get_update()
    state = doc.get_state()
    text.clear()
    text += "short"
    merged = pycrdt.merge_updates(first, doc.get_update(state))
    (answer,) = ask(ReadTexts([merged]))
    assert answer.texts == ["short"]
    assert answer.compacted is not None and answer.compacted[0] is not None
    assert len(answer.compacted[0]) < len(merged)
