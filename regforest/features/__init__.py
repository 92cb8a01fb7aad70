"""Box features: means of displaced boxes, read from summed-volume tables."""

from regforest.features.boxes import BoxFeatures
from regforest.features.compiled import CompiledBoxes
from regforest.features.integral import IntegralVolume, Quantisation, quantise

__all__ = ["BoxFeatures", "CompiledBoxes", "IntegralVolume", "Quantisation", "quantise"]
