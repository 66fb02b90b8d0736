"""The RV32IM machine: its chips in order."""

from __future__ import annotations

from functools import cache

from zkvm.riscv.chips.add import AddChip
from zkvm.riscv.chips.add_immediate import AddImmediateChip
from zkvm.riscv.chips.bitwise import BitwiseChip
from zkvm.riscv.chips.blake3.call import CompressionCallChip
from zkvm.riscv.chips.blake3.mixing import MixingChip
from zkvm.riscv.chips.blake3.words import CompressedWordsChip
from zkvm.riscv.chips.branch_equal import BranchEqualChip
from zkvm.riscv.chips.branch_less import BranchLessChip
from zkvm.riscv.chips.brk import BrkChip
from zkvm.riscv.chips.compare import CompareChip
from zkvm.riscv.chips.divide import DivideChip
from zkvm.riscv.chips.ecall import EcallChip
from zkvm.riscv.chips.jump import JumpChip
from zkvm.riscv.chips.jump_register import JumpRegisterChip
from zkvm.riscv.chips.load_part import LoadPartChip
from zkvm.riscv.chips.load_word import LoadWordChip
from zkvm.riscv.chips.load_word_rom import LoadWordRomChip
from zkvm.riscv.chips.multiply import MultiplyChip
from zkvm.riscv.chips.multiply_immediate import MultiplyImmediateChip
from zkvm.riscv.chips.permute import PermuteChip
from zkvm.riscv.chips.poseidon2 import Poseidon2Chip
from zkvm.riscv.chips.program import ProgramChip
from zkvm.riscv.chips.ram_image import RamImageChip
from zkvm.riscv.chips.range import RangeChip
from zkvm.riscv.chips.read_rows import ReadRowsChip
from zkvm.riscv.chips.refresh import RefreshChip
from zkvm.riscv.chips.rom import RomChip
from zkvm.riscv.chips.segments.boundary import BoundaryChip
from zkvm.riscv.chips.segments.hand_over import HandOverChip
from zkvm.riscv.chips.segments.origins import RamOriginsChip, ZeroOriginsChip
from zkvm.riscv.chips.store_part import StorePartChip
from zkvm.riscv.chips.store_word import StoreWordChip
from zkvm.riscv.chips.tensor.absorb_call import AbsorbCallChip
from zkvm.riscv.chips.tensor.absorbing import AbsorbBytesChip, AbsorbChip
from zkvm.riscv.chips.tensor.applying import ApplyChip
from zkvm.riscv.chips.tensor.call import TensorCallChip
from zkvm.riscv.chips.tensor.channels import ScaledChannelsChip
from zkvm.riscv.chips.tensor.combine_call import CombineCallChip
from zkvm.riscv.chips.tensor.combining import CombineChip
from zkvm.riscv.chips.tensor.constants import ChannelsChip, ConstantVectorsChip
from zkvm.riscv.chips.tensor.depthwise import DepthwiseChip
from zkvm.riscv.chips.tensor.depthwise_call import DepthwiseCallChip
from zkvm.riscv.chips.tensor.digesting import DigestChip
from zkvm.riscv.chips.tensor.gathering import ElementsChip, GatherChip
from zkvm.riscv.chips.tensor.importing import ImportChip
from zkvm.riscv.chips.tensor.maxima import MaximaChip
from zkvm.riscv.chips.tensor.patterns import FunctionsChip, PatternsChip
from zkvm.riscv.chips.tensor.products import ProductsChip
from zkvm.riscv.chips.tensor.results import ResultsChip
from zkvm.riscv.chips.tensor.tiles import TilesChip
from zkvm.riscv.chips.tensor.wide import WideProductsChip
from zkvm.riscv.chips.tensor.words import WordsChip
from zkvm.riscv.chips.write_rows import WriteRowsChip
from zkvm.riscv.chips.zero_init import ZeroInitChip
from zkvm.riscv.digests import DIGESTS
from zkvm.stark.air.chip import Chip, inert, second_instance
from zkvm.stark.air.machine import Machine

SPLIT = (
    RefreshChip, AddChip, AddImmediateChip, BitwiseChip, MultiplyChip, MultiplyImmediateChip,
    BranchEqualChip, BranchLessChip, LoadWordChip, LoadWordRomChip, StoreWordChip, LoadPartChip,
    ProductsChip, WideProductsChip, ResultsChip, CombineChip, DigestChip, Poseidon2Chip,
    AbsorbBytesChip, AbsorbChip,
)  # fmt: skip
"""Chips that have a second instance: those that long runs and large networks fill."""
MAX_ROWS = (1 << 28) - (1 << 8)
"""Bound on the heights of all tables together. State times are at most 4 rows + 4 < 2^40 and memory times at most 2^40 + 2^32 rows < 2^60,
so no difference of two of them wraps mod p."""


@cache
def machine() -> Machine:
    """The machine. Built once; its digest changes with any chip, bus or constraint."""
    return _written(
        "rv32im",
        (
            ProgramChip(), RamImageChip(), RomChip(), RangeChip(), ZeroInitChip(), RefreshChip(),
            AddChip(), AddImmediateChip(), CompareChip(), BitwiseChip(),
            MultiplyChip(), MultiplyImmediateChip(), DivideChip(),
            BranchEqualChip(), BranchLessChip(), JumpChip(), JumpRegisterChip(),
            LoadWordChip(), LoadWordRomChip(), StoreWordChip(), LoadPartChip(), StorePartChip(),
            EcallChip(), BrkChip(), ReadRowsChip(), WriteRowsChip(),
            ConstantVectorsChip(), ChannelsChip(), ScaledChannelsChip(),
            TensorCallChip(), ImportChip(), WordsChip(), TilesChip(), ProductsChip(), WideProductsChip(), ResultsChip(),
            PatternsChip(), FunctionsChip(), ElementsChip(), GatherChip(), MaximaChip(), ApplyChip(),
            CombineCallChip(), CombineChip(), DigestChip(), DepthwiseCallChip(), DepthwiseChip(),
            AbsorbCallChip(), AbsorbBytesChip(), AbsorbChip(),
            PermuteChip(), Poseidon2Chip(), CompressionCallChip(), CompressedWordsChip(), MixingChip(),
            *map(second_instance, SPLIT),
        ),
    )  # fmt: skip


@cache
def segment_machine() -> Machine:
    """The machine of a segment of a run: the chips of :func:`machine`, but that memory and the state come from outside and go there.

    It has the same preprocessed tree, so that a program has one image ID, however its runs are proven.
    """
    own = {ZeroInitChip.name: BoundaryChip(), RamImageChip.name: inert(RamImageChip)}
    chips: list[Chip] = [own.get(chip.name, chip) for chip in machine().chips]
    return _written("rv32im segment", (*chips, HandOverChip()))


@cache
def memory_machine() -> Machine:
    """The machine of the proof of a segmented run's memory: where every word begins and ends."""
    own: dict[str, Chip] = {RamImageChip.name: RamOriginsChip(), RangeChip.name: machine().chips[machine().chip_number(RangeChip.name)]}
    chips = [own.get(chip.name) or inert(type(chip)) for chip in machine().chips if len(chip.preprocessed)]
    return _written("rv32im memory", (*chips, ZeroOriginsChip()))


def _written(name: str, chips: tuple[Chip, ...]) -> Machine:
    return Machine(name, chips, MAX_ROWS, bytes.fromhex(DIGESTS[name]))
