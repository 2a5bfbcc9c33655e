"""The networks of a checkpoint as ONNX: written with torch, run by onnxruntime without it."""
