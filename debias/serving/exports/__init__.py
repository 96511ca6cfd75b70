"""Exports: a saved correction for runtimes without this package: servers, ONNX, MLflow, other languages."""

from debias.serving.exports.logit_bias import LogitBias as LogitBias
from debias.serving.exports.logit_bias import logit_bias as logit_bias
from debias.serving.exports.mlflow_model import save_mlflow as save_mlflow
from debias.serving.exports.onnx_model import to_onnx as to_onnx
from debias.serving.exports.plain_table import plain_table as plain_table

__all__ = ["LogitBias", "logit_bias", "plain_table", "save_mlflow", "to_onnx"]
