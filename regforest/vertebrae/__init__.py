"""Vertebrae in CT: dense classification (Glocker et al. 2013), identification along the chain, the 2012 baseline."""

from regforest.vertebrae.baseline_2012 import Baseline2012, BaselineSettings
from regforest.vertebrae.chain_prior import ChainPrior, fit_chain_prior
from regforest.vertebrae.identification import Identification, identify
from regforest.vertebrae.localizer import VertebraLocalizer, VertebraSettings

__all__ = [
    "Baseline2012",
    "BaselineSettings",
    "ChainPrior",
    "Identification",
    "VertebraLocalizer",
    "VertebraSettings",
    "fit_chain_prior",
    "identify",
]
