# What type checkers see of the names that are loaded when first used.
from zkvm.ml.compiler import compile as compile
from zkvm.ml.interface import ModelInterface as ModelInterface
from zkvm.ml.interface import Output as Output
from zkvm.ml.package import CompiledModel as CompiledModel
from zkvm.ml.samples import load_samples as load_samples
from zkvm.ml.tensor import Tensor as Tensor

MISSING: str
__all__ = ["CompiledModel", "ModelInterface", "Output", "Tensor", "compile", "load_samples"]
