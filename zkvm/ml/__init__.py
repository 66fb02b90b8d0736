"""The model compiler: ONNX in, a guest that computes the model in integers out. See ``docs/ml.md``."""
