"""How much memory is left, as machine, containers and limits of the process say it; what is said when there is none."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from zkvm.errors import LimitError
from zkvm.session import memory

PAGE = resource.getpagesize()


@pytest.fixture(autouse=True)
def nothing_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A system that says nothing: files are where the tests put them."""
    for name in ("MEMORY_INFORMATION", "PROCESS", "CONTROL_GROUPS"):
        monkeypatch.setattr(memory, name, tmp_path / name)
    monkeypatch.delattr("os.sysconf")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def put(folder: Path, **files: str) -> None:
    """Write files whose names have dots for double underscores."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_nobody_tells() -> None:
    assert memory.available_bytes() == memory.UNLIMITED


@pytest.mark.parametrize(
    ("text", "expected"), [("", memory.UNLIMITED), ("MemFree: 1 kB\nMemAvailable:  8 kB\n", 8192), ("MemAvailable: ?", memory.UNLIMITED)]
)
def test_the_machine(text: str, expected: int, tmp_path: Path) -> None:
    (tmp_path / "MEMORY_INFORMATION").write_text(text)
    assert memory.available_bytes() == expected


def test_a_machine_that_tells_only_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}.__getitem__, raising=False)
    assert memory.available_bytes() == 40960


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [("max\n", "5\n", memory.UNLIMITED), ("4096\n", "96\n", 4000), ("4096\n", "5000\n", 0), ("", "", memory.UNLIMITED)],
)
def test_a_container_of_version_2(limit: str, used: str, expected: int, tmp_path: Path) -> None:
    put(tmp_path / "PROCESS", cgroup="0::/\n")
    put(tmp_path / "CONTROL_GROUPS", memory__max=limit, memory__current=used)
    assert memory.available_bytes() == expected


def test_file_contents_that_can_go_do_not_count(tmp_path: Path) -> None:
    put(tmp_path / "PROCESS", cgroup="0::/\n")
    put(tmp_path / "CONTROL_GROUPS", memory__max="4096", memory__current="4000", memory__stat="anon 1\nactive_file 7\ninactive_file 1000\n")
    assert memory.available_bytes() == 1096


def test_groups_within_groups(tmp_path: Path) -> None:
    """The tightest one counts, wherever it is; a group that cannot be looked at does not."""
    put(tmp_path / "PROCESS", cgroup="0::/outer/inner/unseen\n")
    put(tmp_path / "CONTROL_GROUPS" / "outer", memory__max="1000", memory__current="1")
    put(tmp_path / "CONTROL_GROUPS" / "outer" / "inner", memory__max="5000", memory__current="1")
    assert memory.available_bytes() == 999


def test_containers_of_version_1(tmp_path: Path) -> None:
    """Where the container's own group is mounted as the root, under a name that only the host knows."""
    put(tmp_path / "PROCESS", cgroup="9:name=systemd:/\n4:memory:/docker/a:b\n3:cpu,cpuacct:/\n0::/\n")
    put(tmp_path / "CONTROL_GROUPS" / "memory", memory__limit_in_bytes=str(2**63 - 4096), memory__usage_in_bytes="1")
    assert memory.available_bytes() >= 2**61
    put(
        tmp_path / "CONTROL_GROUPS" / "memory" / "docker" / "a:b",
        memory__limit_in_bytes="5000", memory__usage_in_bytes="4500", memory__stat="inactive_file 9\ntotal_inactive_file 100\n",
    )  # fmt: skip
    assert memory.available_bytes() == 600


@pytest.mark.parametrize(("which", "expected"), [(resource.RLIMIT_AS, 70), (resource.RLIMIT_DATA, 90)])
def test_limits_of_the_process(which: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "PROCESS", statm="30 5 4 3 2 10 0\n")
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda asked: (100 * PAGE, 200 * PAGE) if asked == which else infinite)
    assert memory.available_bytes() == expected * PAGE


@pytest.mark.parametrize("error", [MemoryError(), MemoryError("Unable to allocate 9 GiB"), RuntimeError("can't start new thread")])
def test_no_memory_is_a_limit(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 28)
    with (
        pytest.raises(LimitError, match=r"proving ran out of memory.*0\.25 GiB left.*--threads") as raised,
        memory.out_of_memory("proving"),
    ):
        raise error
    assert str(error) in str(raised.value)
    assert raised.value.__cause__ is error


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="something else"), memory.out_of_memory("proving"):
        raise RuntimeError("something else")
