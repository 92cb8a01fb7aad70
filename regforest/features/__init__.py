"""Box features: means of displaced boxes, read from summed-volume tables."""

from regforest.features.boxes import BoxFeatures
from regforest.features.compiled import CompiledBoxes
from regforest.features.integral import IntegralVolume, Quantisation, quantise
from regforest.features.space import BoxSpace

__all__ = ["BoxFeatures", "BoxSpace", "CompiledBoxes", "IntegralVolume", "Quantisation", "quantise"]
