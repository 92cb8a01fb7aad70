"""Discs and bodies in MR: localization and segmentation by joint data-driven estimates (Chen et al. 2014)."""

from regforest.discs.localizer import DiscLocalizer
from regforest.discs.settings import DiscSettings, ForestSettings, JointSettings, PatchSettings
from regforest.discs.training import TrainingRecord

__all__ = ["DiscLocalizer", "DiscSettings", "ForestSettings", "JointSettings", "PatchSettings", "TrainingRecord"]
