"""Names of functions as people read them."""

from __future__ import annotations

import pytest

from zkvm.riscv.vm.demangle import readable

NAMES = {
    "main": "main",
    "_start": "_start",
    "_Z3fooi": "foo",
    "_ZL6hiddenv": "hidden",
    "_ZN5space4nameEv": "space::name",
    "_ZN12_GLOBAL__N_110softmax_ofEv": "softmax_of",
    "_ZN5space12_GLOBAL__N_14nameEv": "space::name",
    "_ZN12_GLOBAL__N_1E": "_ZN12_GLOBAL__N_1E",
    "_ZNK5Shape4areaEv": "Shape::area",
    "_ZN5ShapeC2Ei": "Shape::Shape",
    "_ZN5ShapeD0Ev": "Shape::~Shape",
    "_ZN5ShapeplERKS_": "Shape::operator+",
    "_Z5twiceIiET_S0_": "twice",
    "_ZNSt3__16vectorIiNS_9allocatorIiEEE20__throw_out_of_rangeB9nin220108Ev": "std::vector::__throw_out_of_range",
    "_ZNSt3__122__libcpp_verbose_abortEPKcz": "std::__libcpp_verbose_abort",
    "_ZSt9terminatev": "std::terminate",
    "_ZN5outer5innerILi3ELb1ENS_4kindILm7EEEE3runEv": "outer::inner::run",
    "_ZN4mainMUlvE_clEv": "_ZN4mainMUlvE_clEv",
    "_ZN1aUlRKT_iE0_clIiEEDaS1_i": "a::lambda::operator()",
    "_Znwm": "operator new",
    "_ZN4core9panicking9panic_fmt17h0123456789abcdefE": "core::panicking::panic_fmt",
    "_RNvC4main3foo": "_RNvC4main3foo",
    "_ZTV5Shape": "_ZTV5Shape",
    "_ZZ4mainE5local": "_ZZ4mainE5local",
    "_ZN99999999999namesEv": "_ZN99999999999namesEv",
    "_ZN": "_ZN",
    "_Z": "_Z",
    "_ZN1aI": "_ZN1aI",
    "_ZN1aI" + "N" * 500: "_ZN1aI" + "N" * 500,
}


TYPE = "_$LT$alloc..string..String$u20$as$u20$core..fmt..Display$GT$"
NAMES[f"_ZN{len(TYPE)}{TYPE}3fmt17h0123456789abcdefE"] = "<alloc::string::String as core::fmt::Display>::fmt"


@pytest.mark.parametrize("symbol", NAMES)
def test_names(symbol: str) -> None:
    assert readable(symbol) == NAMES[symbol]


def test_every_prefix_of_a_name_is_read_or_left() -> None:
    whole = "_ZNSt3__16vectorIiNS_9allocatorIiEEE20__throw_out_of_rangeB9nin220108Ev"
    for length in range(1, len(whole)):
        assert readable(whole[:length])
