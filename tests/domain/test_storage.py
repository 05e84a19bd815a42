"""What becomes of each server, and where its host keeps disks: docs/storage.md."""

from dataclasses import replace
from datetime import timedelta

import pytest

from hacli.domain import host_storage, storage
from hacli.domain.host_storage import Finding, grouped
from hacli.domain.storage import Back, Fate, Verdict, WayBack
from tests.domain.cells import STORAGE, Cell, params, rows_in_docs
from tests.domain.storage_cells import (
    DISK_VM,
    FINDINGS,
    HOSTS,
    NEW,
    NOW,
    SERVERS,
    WAYS_BACK,
)


@pytest.mark.parametrize("cell", params([*HOSTS, *FINDINGS]))
def test_a_cell_about_a_host(cell: Cell) -> None:
    """Where it keeps disks, and what is wrong on it."""
    assert cell.ask(host_storage) == cell.says


@pytest.mark.parametrize("cell", params([*SERVERS, *WAYS_BACK]))
def test_a_cell_about_a_server(cell: Cell) -> None:
    """What becomes of it, and what it can go back to."""
    assert cell.ask(storage) == cell.says


def test_every_row_has_a_cell_and_every_cell_a_row() -> None:
    """An operator can trust the page, because nothing stands there that is not tested."""
    rows = rows_in_docs("BVWF", page=STORAGE)

    assert len(rows) == len(set(rows))
    assert set(rows) == {cell.row for cell in (*HOSTS, *FINDINGS, *SERVERS, *WAYS_BACK)}


LOST = Verdict(server=DISK_VM, fate=Fate.LOSES_ROOT, back=WayBack(kind=Back.SNAPSHOT, image=NEW))
"""Its snapshot is three hours old."""


@pytest.mark.parametrize(
    ("verdict", "hours", "at_risk"),
    [
        (LOST, None, True),
        (LOST, 2, True),
        (LOST, 3, False),
        (replace(LOST, back=WayBack(kind=Back.IMAGE, image=NEW)), 24, True),
        (replace(LOST, back=WayBack(kind=Back.UNKNOWN)), 24, True),
        (replace(LOST, fate=Fate.LOSES_EPHEMERAL), 24, True),
        (replace(LOST, fate=Fate.NOT_EVACUABLE), 24, True),
        (replace(LOST, fate=Fate.UNKNOWN), None, False),
        (replace(LOST, fate=Fate.SURVIVES), None, False),
    ],
)
def test_only_a_young_snapshot_makes_up_for_a_lost_root_disk(
    verdict: Verdict, hours: int | None, at_risk: bool
) -> None:
    """And only when the operator has said how young; nothing makes up for anything else."""
    enough = None if hours is None else timedelta(hours=hours)

    assert verdict.at_risk(now=NOW, snapshot_age=enough) is at_risk


def test_the_same_finding_on_many_hosts_is_told_once() -> None:
    """Two hundred lines of one mistake hide the second one."""
    one = Finding(code="AUTOSTART", hosts=("compute-1",), text="on", cure="off")
    two, other = replace(one, hosts=("compute-2",)), replace(one, text="also on")

    assert grouped(iter((one, other, two))) == (
        replace(one, hosts=("compute-1", "compute-2")),
        other,
    )
