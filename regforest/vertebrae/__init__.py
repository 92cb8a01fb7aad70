"""Vertebrae in CT: dense classification (Glocker et al. 2013) and identification along the chain."""

from regforest.vertebrae.chain_prior import ChainPrior, fit_chain_prior
from regforest.vertebrae.identification import Identification, identify
from regforest.vertebrae.localizer import VertebraLocalizer, VertebraSettings

__all__ = [
    "ChainPrior",
    "Identification",
    "VertebraLocalizer",
    "VertebraSettings",
    "fit_chain_prior",
    "identify",
]
