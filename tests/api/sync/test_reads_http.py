"""What a pull and a snapshot over HTTP wait for."""

from __future__ import annotations

import pytest

from storage.retention import read_voters
from storage.spaces import lock_space
from tests.api.harness import running, settings_for
from tests.security.harness import join, record_id


@pytest.mark.parametrize("what", ["pull", "snapshot"])
async def test_no_read_waits_for_a_write_and_the_devices_vote_is_there_in_the_end(database_url: str, what: str) -> None:
    async with running(settings_for(database_url)) as server:
        ann = await join(server)
        assert (await ann.push(ann.put(record_id(1), title="x"))).status == 200
        registered = await ann.ask(
            "POST", "/api/sync/devices", {"key": "5f0c8f7e-1111-4222-8333-123456789abc", "name": "Tablet"}
        )
        tablet = registered.json["device"]
        async with server.database.write() as tx:
            await lock_space(tx, ann.space)
            answer = await ann.ask("GET", ann.at(what), headers={"Sync-Device": tablet})
        assert [record["id"] for record in answer.json["records"]] == [record_id(1)]
    # The server has stopped: what it had noted is on the disk.
    async with running(settings_for(database_url)) as server, server.database.read() as tx:
        assert tablet in {voter.device for voter in await read_voters(tx, ann.space)}
