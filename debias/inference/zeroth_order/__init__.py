"""Trains a model by forward passes alone (zeroth-order): no gradients, hardly more memory than inference."""
