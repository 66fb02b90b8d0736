"""Where a run's cycles and cells go: by instruction and by call stack, while the guest runs.

The recorder drives the interpreter, looks at its records in batches and forgets them, so that long runs take little memory. The call
stack is a shadow stack: an instruction that links pushes where it returns to, a jump to a register that returns pops it. A call that the
compiler turned into a jump is no call to the stack, and one to the tree: what is jumped to is below the function that jumps, unless the
same call has led there before; then it goes on there. Any jump to where a call returns to is its return. Inlined calls are no calls to
the stack either; debug information says which instructions are theirs, and the tree shows them below the function that they are in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa import opcodes
from zkvm.riscv.isa.calls import PERMUTE
from zkvm.riscv.isa.semantics import LOADS, STORES
from zkvm.riscv.kernels import interpreter as kernel
from zkvm.riscv.records import CHAIN_ROW, Execution, Image
from zkvm.riscv.vm.dwarf import InlineTable
from zkvm.riscv.vm.executor import run_kernel
from zkvm.riscv.vm.state import MachineState

Int = NDArray[np.int64]

BATCH = 1 << 19
"""Records that are looked at together."""
MAX_DEPTH = 200
"""Deeper calls are counted for the call at this depth; a direct recursion counts as one call."""
MAX_NODES = 100_000
"""Call paths that are told apart; calls on further ones count for their caller."""
MAX_JUMPS = 8
"""Functions that one call leads to by jumps, each below the one before; a further one takes the last one's place. Programs whose functions
all end in jumps to others, as some interpreters do, would have a call path for each order of these."""
MAX_CALLERS = 32
"""Callers among which that of a system call is looked for whose source line is charged."""
LINK_REGISTERS = tuple(opcodes.REGISTER_BASE + index for index in (1, 5))
"""ra and t0: what calls write and returns jump to (RISC-V calling convention, "Standard register conventions")."""
BEFORE_SYMBOLS = "(before the first symbol)"
INLINED = " (inlined)"
"""After the name of an inlined function, to tell its cost from that of its calls."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Cells that things cost, where a cell is one committed base-field element of one row.

    Attributes:
        steps: (2, 256) of an instruction, by origin of the loaded word (1: ROM) and operation.
        calls: of a call, by its number.
        other_call: of a call with any other number.
        refresh: of a refresh.
        zero_word: of the first touch of a zero-initialised word.
        read_row: of a word that a read moves.
        write_row: of a word that a journal write moves.
        tensor: of the rows of each tensor call of a run, beside that of the call itself.
        compression: of the rows of a BLAKE3 call, beside that of the call itself.
    """

    steps: Int
    calls: Mapping[int, int]
    other_call: int
    refresh: int
    zero_word: int
    read_row: int
    write_row: int
    tensor: Callable[[Execution], Sequence[int]]
    compression: int

    @classmethod
    def nothing(cls) -> Costs:
        """Counts cycles only."""
        return cls(np.zeros((2, 256), np.int64), {}, 0, 0, 0, 0, 0, lambda execution: [0] * len(execution.tensor_calls), 0)


@dataclass(frozen=True, slots=True)
class Stop:
    """A function on the guest's way.

    Attributes:
        function: its number.
        node: its node in the tree.
        row: program row that called it or jumped to it; -1 of the first.
    """

    function: int
    node: int
    row: int


Way = tuple[Stop, ...]
"""What one call has led to: the function that it called, and those that were then jumped to, each by the one before."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the guest on the way to where it is.

    Attributes:
        return_pc: where it returns to.
        way: the caller's.
    """

    return_pc: int
    way: Way


@dataclass(frozen=True, slots=True)
class SystemCall:
    """A system call of the run: its row, the node that it counts for, and the row whose source line it counts for."""

    row: int
    node: int
    line_row: int


@dataclass(slots=True)
class CallTree:
    """Functions by call path; node 0 is the root, which is no function.

    Attributes:
        parents: of each node its caller's; the root is its own.
        functions: of each node the number of its function, -1 of the root.
        depths: of each node the calls that lead to it.
        cycles: spent in the node itself, not in what it calls.
        cells: likewise.
    """

    parents: list[int] = field(default_factory=lambda: [0])
    functions: list[int] = field(default_factory=lambda: [-1])
    depths: list[int] = field(default_factory=lambda: [0])
    cycles: list[int] = field(default_factory=lambda: [0])
    cells: list[int] = field(default_factory=lambda: [0])
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def child(self, node: int, function: int) -> int:
        """The node of a function called from ``node``."""
        if self.functions[node] == function or self.depths[node] >= MAX_DEPTH:
            return node
        found = self._children.get((node, function))
        if found is None and len(self.parents) >= MAX_NODES:
            return node
        if found is None:
            found = self._children[node, function] = len(self.parents)
            self.parents.append(node)
            self.functions.append(function)
            self.depths.append(self.depths[node] + 1)
            self.cycles.append(0)
            self.cells.append(0)
        return found


class Recorder:
    """Runs a guest and counts.

    Attributes:
        image: the program.
        costs: what things cost.
        names: of functions; number 0 is what lies before the first symbol, inlined ones come last.
        owner: (n,) function of each program row.
        scope: (n,) number of the innermost inlined call that the row comes from, 0 for none.
        function: (n,) as ``owner``, or the function of that inlined call.
        row_cycles: (n,) executions of each program row.
        row_cells: (n,) cells of each program row.
        call_cells: of the system calls among them, by their row and the row whose source line they count for.
        used: (2, 256) executed instructions, indexed as :attr:`Costs.steps`.
        refreshes: how many, over the whole run.
        tree: cost by call path.
        stack: the calls that the guest is in, outermost first.
    """

    def __init__(
        self, image: Image, costs: Costs, inlined: InlineTable | None = None, own_line: Callable[[int, int], object] | None = None
    ) -> None:
        """Before a run.

        Args:
            image: the program.
            costs: what things cost.
            inlined: what was, if that is known.
            own_line: whether an address, in the inlined call of this number, has a source line that system calls count for, and not their
                caller's; None: all have.
        """
        program = image.program
        self.image, self.costs = image, costs
        table = inlined or InlineTable.empty()
        symbols = (BEFORE_SYMBOLS, *(name for _, name in image.symbols))
        numbers: dict[str, int] = {}
        self._inlined = [0, *(len(symbols) + numbers.setdefault(call.function + INLINED, len(numbers)) for call in table.calls[1:])]
        self._around = [call.parent for call in table.calls]
        self.names = (*symbols, *numbers)
        starts = np.array([address for address, _ in image.symbols], np.uint64)
        self.owner: Int = np.searchsorted(starts, program["pc"], side="right").astype(np.int64)
        self.scope: Int = table.find(program["pc"])
        self.function: Int = np.where(self.scope > 0, np.array(self._inlined)[self.scope], self.owner)
        self.row_cycles: Int = np.zeros(len(program), np.int64)
        self.row_cells: Int = np.zeros(len(program), np.int64)
        self.call_cells: Counter[tuple[int, int]] = Counter()
        self.used: Int = np.zeros((2, 256), np.int64)
        self.refreshes = 0
        self.tree, self.stack = CallTree(), list[Call]()
        self._pc, self._op = program["pc"].astype(np.int64), program["op"].astype(np.int64)
        jumps = (self._op == opcodes.JAL) | (self._op == opcodes.JALR)
        self._links = jumps & np.isin(program["rd"], LINK_REGISTERS)
        self._returns = (self._op == opcodes.JALR) & ~self._links
        self._accesses = np.isin(np.arange(256), [*LOADS, *STORES])
        self._gap_edges = np.array([edge for gap in image.gaps for edge in gap], np.uint64)
        self._own_line = cache(own_line or (lambda pc, scope: True))
        self._last, self._way = -1, Way()
        self._calls: list[tuple[int, int, int]] = []  # of the batch: records before it, row, time
        self._system_calls: list[SystemCall] = []  # of the run, in the order of Execution.ecalls

    def run(self, state: MachineState, cycle_limit: int) -> int:
        """The interpreter, as a :data:`zkvm.riscv.vm.executor.Runner`."""
        if int(state.counters[kernel.STEPS]) >= BATCH:
            self.look(state)
        status = run_kernel(state, cycle_limit)
        if status == kernel.CALLED:
            self._calls.append((int(state.counters[kernel.STEPS]), state.row, state.time))
        return status

    def look(self, state: MachineState) -> None:
        """Count the records of a running guest, and forget them."""
        self.count(state.steps[: int(state.counters[kernel.STEPS])], state.refreshes[: int(state.counters[kernel.REFRESHES])])
        state.counters[kernel.STEPS] = state.counters[kernel.REFRESHES] = 0

    def arrive(self, row: int) -> None:
        """Execution has gone on to a row that is not executed: it traps. If there was no row to go to, ``row`` is the last one."""
        if self._last not in (-1, row):
            self._step(self._last, row)
            self._last = row
        elif self._last == row and self._links[row]:
            self.stack.append(Call(int(self._pc[row]) + 4, self._way))

    @property
    def last_pc(self) -> int:
        """Address of the last instruction that was counted."""
        return int(self._pc[self._last])

    def finish(self, execution: Execution) -> None:
        """Count what is left when the guest has ended, and what its calls cost."""
        self.count(execution.steps, execution.refreshes)
        for made, call in zip(self._system_calls, execution.ecalls, strict=True):
            self._add(made, self.costs.calls.get(int(call["a7"]), self.costs.other_call))
        for records, cost in ((execution.reads, self.costs.read_row), (execution.writes, self.costs.write_row)):
            self._count_chain(records, execution.ecalls["time"], cost)
        for tensor_call, cost in zip(execution.tensor_calls, self.costs.tensor(execution), strict=True):
            self._add(self._system_calls[tensor_call.ecall], cost + self._first_touches(tensor_call.words))
        permuting = np.flatnonzero(execution.ecalls["a7"] == PERMUTE.number).tolist()
        for call, words in zip(permuting, execution.permuted, strict=True):
            self._add(self._system_calls[call], self._first_touches(words))
        self._count_compressions(execution.blake3_calls, execution.ecalls["time"])

    def _first_touches(self, words: NDArray[Any]) -> int:
        """Cells of the zero-initialised words among TENSOR_WORD records that nothing touched before."""
        zero = (words["t_prev"] == 0) & self._zero_initialised(words["address"])
        return int(zero.sum()) * self.costs.zero_word

    def cycles_by_function(self) -> tuple[tuple[str, int], ...]:
        """(name, cycles) of every function that ran, most first."""
        cycles = np.bincount(self.function, weights=self.row_cycles, minlength=len(self.names)).astype(np.int64)
        return tuple((self.names[k], int(cycles[k])) for k in np.argsort(-cycles, kind="stable").tolist() if cycles[k])

    def count(self, steps: NDArray[Any], refreshes: NDArray[Any]) -> None:
        """Count a batch: STEP and REFRESH records that follow those counted before."""
        places = [place for place, _, _ in self._calls]
        rows: Int = np.insert(steps["row"].astype(np.int64), places, [row for _, row, _ in self._calls])
        if not len(rows):
            return
        times = np.insert(steps["time"], places, np.array([time for _, _, time in self._calls], np.uint64))
        operations, rom = self._op[steps["row"]], steps["rom"].astype(np.int64)
        self.used += np.bincount(256 * rom + operations, minlength=512).reshape(2, 256)
        self.refreshes += len(refreshes)
        cells: Int = np.insert(self.costs.steps[rom, operations], places, 0)
        first = self._accesses[operations] & (steps["tm"] == 0) & (rom == 0)
        first[first] = self._zero_initialised(steps["address"][first])
        cells += np.insert(first.astype(np.int64) * self.costs.zero_word, places, 0)
        fresh = (refreshes["t_prev"] == 0) & self._zero_initialised(refreshes["address"])
        where = np.searchsorted(times, (refreshes["time"] + np.uint64(1)) // np.uint64(4) * np.uint64(4))
        np.add.at(cells, where, self.costs.refresh + fresh * self.costs.zero_word)
        self.row_cycles += np.bincount(rows, minlength=len(self.row_cycles))
        np.add.at(self.row_cells, rows, cells)
        self._follow(rows, cells, np.array(places, np.int64) + np.arange(len(places)))
        self._calls = []

    def _follow(self, rows: Int, cells: Int, calls: Int) -> None:
        """Walk the call tree along executed rows, of which those at ``calls`` are system calls."""
        if self._last < 0:  # the run begins: as if execution went on from an instruction before it, which is no jump
            first = int(self.owner[rows[0]])
            self._way = (Stop(first, self.tree.child(0, first), -1),)
        before = np.concatenate([[self._last], rows[:-1]])
        changes = self._links[before] | self._returns[before] | (self.owner[rows] != self.owner[before])
        continues = not changes[0]
        changes[0] = True  # a new batch is a new segment
        starts = np.flatnonzero(changes)
        lengths = np.diff(np.append(starts, len(rows)))
        called, first_call = rows[calls].tolist(), np.searchsorted(calls, [*starts, len(rows)]).tolist()
        nodes = []
        for number, (previous, row) in enumerate(zip(before[starts].tolist(), rows[starts].tolist(), strict=True)):
            if not continues:
                self._step(previous, row)
            continues = False
            nodes.append(self._way[-1].node)
            self._system_calls += [
                SystemCall(own, nodes[-1], self._line_row(own)) for own in called[first_call[number] : first_call[number + 1]]
            ]
        every = np.repeat(np.array(nodes, np.int64), lengths)
        pairs, which = np.unique(every * len(self._inlined) + self.scope[rows], return_inverse=True)
        totals = np.bincount(which), np.bincount(which, weights=cells).astype(np.int64)
        for pair, count, cost in zip(pairs.tolist(), *(values.tolist() for values in totals), strict=True):
            node = self._inside(*divmod(pair, len(self._inlined)))
            self.tree.cycles[node] += count
            self.tree.cells[node] += cost
        self._last = int(rows[-1])

    def _inside(self, node: int, scope: int) -> int:
        """The node of an inlined call, or of none, in the function that ``node`` is."""
        return self.tree.child(self._inside(node, self._around[scope]), self._inlined[scope]) if scope else node

    def _step(self, previous: int, row: int) -> None:
        """Keep the shadow stack when execution goes from one row to another."""
        function, scope = int(self.owner[row]), int(self.scope[previous])
        if previous < 0:
            return
        if self._links[previous]:
            self.stack.append(Call(int(self._pc[previous]) + 4, self._way))
            self._way = (self._stop(self._way[-1].node, previous, scope, function),)
            return
        if self._returns[previous]:
            target = int(self._pc[row])
            for depth in range(len(self.stack) - 1, -1, -1):
                if self.stack[depth].return_pc == target:
                    self._way, scope = self.stack[depth].way, 0
                    del self.stack[depth:]
                    break
        for number, stop in enumerate(self._way):
            if stop.function == function:
                self._way = self._way[: number + 1]
                return
        if len(self._way) > MAX_JUMPS:
            self._way, scope = self._way[:MAX_JUMPS], 0
        self._way += (self._stop(self._way[-1].node, previous, scope, function),)

    def _stop(self, node: int, row: int, scope: int, function: int) -> Stop:
        """A function that a row calls or jumps to, whose own function has this node; ``scope``: the inlined call that the row is in."""
        return Stop(function, self.tree.child(self._inside(node, scope), function), row)

    def _line_row(self, row: int) -> int:
        """The row whose source line a system call counts for: the innermost, on the way to it, with a line of the guest's own."""
        ways = chain((self._way,), (call.way for call in reversed(self.stack)))
        callers = (stop.row for way in ways for stop in reversed(way) if stop.row >= 0)
        rows = islice(chain((row,), callers), MAX_CALLERS)
        return next((number for number in rows if self._own_line(int(self._pc[number]), int(self.scope[number]))), row)

    def _zero_initialised(self, addresses: NDArray[Any]) -> NDArray[np.bool_]:
        """Which byte addresses are in a zero-initialised range."""
        edges_below = np.searchsorted(self._gap_edges, addresses.astype(np.uint64) // np.uint64(4), side="right")
        return np.asarray(edges_below % 2 == 1)

    def _count_chain(self, records: NDArray[Any], call_times: NDArray[np.uint64], cost: int) -> None:
        """Cells of the words that calls move: CHAIN_ROW records."""
        assert records.dtype == CHAIN_ROW
        zero = (records["t_prev"] == 0) & (records["rom"] == 0) & self._zero_initialised(records["address"])
        cells = cost + zero * self.costs.zero_word
        call = np.searchsorted(call_times, records["time"])
        for number in np.unique(call).tolist():
            self._add(self._system_calls[number], int(cells[call == number].sum()))

    def _count_compressions(self, records: NDArray[Any], call_times: NDArray[np.uint64]) -> None:
        """Cells of the rows that compressions have besides the call's: BLAKE3_CALL records."""
        addresses = records["address"].astype(np.uint64)[:, None] + np.uint64(4) * np.arange(records["words"].shape[1], dtype=np.uint64)
        zero = ((records["t_prev"] == 0) & self._zero_initialised(addresses)).sum(axis=1)
        for number, touched in zip(np.searchsorted(call_times, records["time"]).tolist(), zero.tolist(), strict=True):
            self._add(self._system_calls[number], self.costs.compression + touched * self.costs.zero_word)

    def _add(self, call: SystemCall, cells: int) -> None:
        self.row_cells[call.row] += cells
        self.call_cells[call.row, call.line_row] += cells
        self.tree.cells[self._inside(call.node, int(self.scope[call.row]))] += cells
