"""The journal of a file in parts, and the board that hands its parts out."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tui.workers import transfer_board
from tui.workers.transfer_board import Board, Wanted
from tui.workers.transfer_pace import Pace, Patience, asked_wait
from tui.workers.transfer_parts import BLOCK, PartFile, bytes_there

SIZE = 1000
CONTENT = os.urandom(SIZE)


def put(file: PartFile, start: int, end: int) -> int:
    return file.write(start, memoryview(CONTENT)[start:end])


def test_parts_fill_in_any_order_and_the_front_has_no_gap(tmp_path: Path) -> None:
    file = PartFile(tmp_path / "x.incomplete", SIZE, 300)
    assert list(file.parts) == [0, 1, 2, 3]
    assert put(file, 300, 450) == 150
    assert (file.front, file.done) == (0, 150)
    assert put(file, 0, 300) == 300
    assert (file.front, file.missing(1), file.missing(3)) == (450, (450, 600), (900, 1000))
    assert put(file, 450, 1000) == 550
    assert file.front == SIZE
    file.finish(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert not (tmp_path / "x.incomplete").exists()


def test_another_process_goes_on_at_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.incomplete"
    file = PartFile(path, SIZE, 300)
    put(file, 0, 123)
    put(file, 600, 601)
    assert bytes_there(path, SIZE) == 124
    again = PartFile(path, SIZE, 7)  # the parts of the first attempt hold
    assert [again.missing(part) for part in again.parts] == [(123, 300), (300, 600), (601, 900), (900, 1000)]


def test_what_is_there_is_not_written_again_and_nothing_is_written_behind_a_gap(tmp_path: Path) -> None:
    file = PartFile(tmp_path / "x", SIZE, 300)
    assert put(file, 0, 100) == 100
    assert put(file, 0, 150) == 50
    assert put(file, 200, 250) == 0
    assert put(file, 0, 1000) == 850
    assert file.done == SIZE


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: os.truncate(path, SIZE + 20),
        lambda path: os.truncate(path, 10),
        lambda path: path.write_bytes(b"x" * SIZE),
        lambda path: path.write_bytes(path.read_bytes()[:-8] + b"\xff" * 8),
        lambda path: path.write_bytes(b""),
    ],
)
def test_a_damaged_journal_means_starting_afresh(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = tmp_path / "x.incomplete"
    put(PartFile(path, SIZE, 300), 0, 123)
    damage(path)
    assert bytes_there(path, SIZE) == 0
    assert PartFile(path, SIZE, 300).done == 0


def test_a_file_of_another_length_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "x.incomplete"
    put(PartFile(path, SIZE, 300), 0, 123)
    assert bytes_there(path, SIZE + 8) == 0
    assert bytes_there(tmp_path / "none", SIZE) == 0


class Place:
    def __init__(self, folder: Path, name: str) -> None:
        self.blob, self.incomplete, self.busy = folder / name, folder / f"{name}.incomplete", False

    def lock(self) -> bool:
        return not self.busy

    def unlock(self) -> None:
        pass


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Wanted]:
    monkeypatch.setattr(transfer_board, "PART_SIZE", 300)
    monkeypatch.setattr(transfer_board, "LARGE_FILE", 500)
    return lambda name: Wanted(name, f"http://x/{name}", SIZE, "", "", Place(tmp_path, name))


def test_no_part_is_given_twice_and_one_given_back_is_given_again(wanted: Callable[[str], Wanted]) -> None:
    board = Board([wanted("a"), wanted("b")])
    tasks = [board.next_task() for _ in range(8)]
    assert [(task.file.name, task.part) for task in tasks if task] == [(n, p) for n in "ab" for p in range(4)]
    assert tasks[2] is not None
    board.give_back(tasks[2], "lane")
    assert board.next_task() == tasks[2]


def test_a_file_that_streams_is_left_to_its_streamer(wanted: Callable[[str], Wanted]) -> None:
    board = Board([wanted("a"), wanted("b")])
    first, second = board.next_task(), board.next_task()
    assert first and second
    assert board.may_stream(first.file, "one") and board.may_stream(first.file, "one")
    assert not board.may_stream(first.file, "two")
    board.give_back(second, "two")
    other = board.next_task()
    assert other is not None and other.file.name == "b"
    board.give_back(first, "one")
    back = [board.next_task(), board.next_task()]
    assert [(task.file.name, task.part) for task in back if task] == [("a", 0), ("a", 1)]


def test_a_locked_file_is_passed_over_until_it_is_free_or_made_by_another(
    wanted: Callable[[str], Wanted], until: Callable[..., object]
) -> None:
    board = Board([wanted("a"), wanted("b")])
    place = board.files[0].place
    place.busy = True  # type: ignore[attr-defined]
    tasks = [board.next_task() for _ in range(4)]
    assert {task.file.name for task in tasks if task} == {"b"}
    ended: list[object] = []
    thread = threading.Thread(target=lambda: ended.append(board.next_task()))
    thread.start()
    until(lambda: "another program that downloads a" in board.note)
    place.blob.write_bytes(CONTENT)
    place.busy = False  # type: ignore[attr-defined]
    until(lambda: board.files[0].whole)
    board.mark_whole(board.files[1])
    thread.join(5)
    assert ended == [None]


def test_the_first_error_counts_and_ends_the_waiting(wanted: Callable[[str], Wanted]) -> None:
    board = Board([wanted("a")])
    board.fail(ValueError("first"))
    board.fail(ValueError("second"))
    assert str(board.error) == "first"
    assert board.next_task() is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"ratelimit": '"api";r=0;t=55'}, 55),
        ({}, None),
    ],
)
def test_how_long_an_answer_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(headers) == seconds


def test_waits_grow_and_are_bounded() -> None:
    patience = Patience(first_wait=1, longest_wait=30)
    waits = [patience.wait(failures) for failures in range(1, 40)]
    assert 0.8 <= waits[0] <= 1.2 and 1.6 <= waits[1] <= 2.4
    assert max(waits) <= 36


def test_without_a_cap_nobody_waits() -> None:
    pace = Pace(lambda: 0, threading.Event())
    assert pace.step(1 << 20) == 1 << 20
    pace.take(10**12)
    assert Pace(lambda: 1_000_000, threading.Event()).step(1 << 20) == 100_000


def test_a_part_counts_as_there_only_after_its_journal_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sees a complete file may cut the journal off at once: nothing may be written behind it afterwards."""
    path, target = tmp_path / "x.incomplete", tmp_path / "x"
    file = PartFile(path, 23, 23)
    real = os.pwrite
    seen: list[bool] = []

    def pwrite(descriptor: int, data: memoryview, position: int) -> int:
        seen.append(file.is_complete(0))
        return real(descriptor, data, position)

    monkeypatch.setattr(os, "pwrite", pwrite)
    file.write(0, memoryview(bytes(23)))
    assert seen == [False, False]  # the bytes, then the journal
    file.finish(target)
    assert target.read_bytes() == bytes(23)


@pytest.mark.parametrize("start", [0, 1, 4095, 4096, 5000])
def test_blocks_past_the_page_cache_and_ragged_ends_make_the_same_bytes(tmp_path: Path, start: int) -> None:
    size = (8 << 20) + 4097
    data = os.urandom(size)
    file = PartFile(tmp_path / "x.incomplete", size, size)
    buffer = memoryview(mmap.mmap(-1, 1 << 20))
    position = 0
    for end in (start, 700_001, 1_500_000, 1_500_001, size):
        while position < end:
            room = buffer[position % BLOCK :]
            number = min(len(room), end - position)
            room[:number] = data[position : position + number]
            assert file.write(position, room[:number]) == number
            position += number
    read = b""
    while len(read) < size:
        number = file.read(len(read), size, buffer)
        read += buffer[:number]
    assert read == data
    file.finish(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == data
