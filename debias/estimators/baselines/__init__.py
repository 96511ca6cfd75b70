"""Baselines that a correction has to be compared with, from the uncorrected model to boosted trees."""

from debias.estimators.baselines.baseline import Baseline as Baseline
from debias.estimators.baselines.calibrations import CONTENT_FREE_INPUTS as CONTENT_FREE_INPUTS
from debias.estimators.baselines.calibrations import BatchCalibration as BatchCalibration
from debias.estimators.baselines.calibrations import ContextualCalibration as ContextualCalibration
from debias.estimators.baselines.calibrations import domain_context_inputs as domain_context_inputs
from debias.estimators.baselines.class_factors import FactorBaseline as FactorBaseline
from debias.estimators.baselines.confusion_balancing import ConfusionBalancing as ConfusionBalancing
from debias.estimators.baselines.coordinate_ascent import ClassWeights as ClassWeights
from debias.estimators.baselines.prior_matching import PriorMatching as PriorMatching
from debias.estimators.baselines.references import MajorityClass as MajorityClass
from debias.estimators.baselines.references import Uncorrected as Uncorrected
from debias.estimators.baselines.softmax_scaling import TemperatureScaling as TemperatureScaling
from debias.estimators.baselines.softmax_scaling import VectorScaling as VectorScaling
from debias.estimators.baselines.supervised_models import BoostedTrees as BoostedTrees
from debias.estimators.baselines.supervised_models import (
    LogisticRegressionBaseline as LogisticRegressionBaseline,
)
