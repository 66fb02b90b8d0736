"""Gradient boosted trees: XGBoost, LightGBM and CatBoost, for classes and numbers, with missing values and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import onnx

from bench.ml.adapter import Array
from bench.ml.corpus.entry import Entry, Made, table
from bench.ml.corpus.tabular import dataset

FAMILY = "boosters"
DATA = {"binary": "breast_cancer", "classes": "wine", "regression": "diabetes", "digits": "digits"}


def entries() -> Iterator[Entry]:
    """All models of this family."""
    for package, fit in FITS.items():
        for task in DATA:
            for missing in (False, True):
                yield Entry(FAMILY, f"{package}-{task}{'-missing' if missing else ''}", partial(_boosted, fit, task, missing))


def _boosted(fit: Callable[[str, Array, Array], bytes], task: str, missing: bool, count: int) -> Made:
    rows, target = dataset(DATA[task])
    if missing:
        rows = np.where(np.random.default_rng(1).random(rows.shape) < 0.1, np.nan, rows)
    first = len(rows) * 2 // 3
    model = fit(task, rows[:first].astype(np.float32), target[:first])
    proto = onnx.load_from_string(model)
    port = proto.graph.input[0].name
    calibration, inputs = table(f"{fit.__name__}-{task}", rows[:first], rows[first:], count)
    return Made(model, {port: calibration}, {port: inputs}, by_column=task == "regression")


def _xgboost(task: str, rows: Array, target: Array) -> bytes:
    import xgboost
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    kind = xgboost.XGBRegressor if task == "regression" else xgboost.XGBClassifier
    model = kind(n_estimators=8, max_depth=4, random_state=0, n_jobs=1).fit(rows, target)
    return _bytes(convert_xgboost(model, initial_types=[("x", FloatTensorType([None, rows.shape[1]]))]))


def _lightgbm(task: str, rows: Array, target: Array) -> bytes:
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    kind = lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier
    model = kind(n_estimators=8, max_depth=4, random_state=0, n_jobs=1, verbose=-1).fit(rows, target)
    return _bytes(convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, rows.shape[1]]))], zipmap=task == "binary"))


def _catboost(task: str, rows: Array, target: Array) -> bytes:
    import tempfile
    from pathlib import Path

    import catboost

    kind: Any = catboost.CatBoostRegressor if task == "regression" else catboost.CatBoostClassifier
    model = kind(iterations=8, depth=4, random_seed=0, thread_count=1, verbose=False, allow_writing_files=False).fit(rows, target)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        model.save_model(str(path), format="onnx")
        return path.read_bytes()


def _bytes(proto: Any) -> bytes:
    return bytes(proto.SerializeToString())


FITS: dict[str, Callable[[str, Array, Array], bytes]] = {"xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost}
