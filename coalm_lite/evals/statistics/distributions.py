"""The few textbook distributions that the tests and sizes need: the one file that imports scipy.

scipy is the extra `eval`: without it, each of these raises MissingExtraError, and the rest of coalm-lite works.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.errors import MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HINT = 'Install it with `pip install "coalm-lite[eval]"`.'


def normal_quantile(probability: float) -> float:
    """The value below which a standard normal number lies with this probability."""
    return float(_scipy_stats().norm.ppf(probability))


def student_quantile(probability: float, freedom: float) -> float:
    """As `normal_quantile`, of Student's t with so many degrees of freedom."""
    return float(_scipy_stats().t.ppf(probability, freedom))


def coin_tail(heads: int, tosses: int) -> float:
    """The probability of at least so many heads in so many tosses of a fair coin: McNemar's one-sided exact p."""
    return float(_scipy_stats().binom.sf(heads - 1, tosses, 0.5))


def coin_thresholds(tosses: NDArray[np.int64], level: float) -> NDArray[np.int64]:
    """For each number of tosses the fewest heads that `coin_tail` gives a probability of at most `level`."""
    return np.asarray(_scipy_stats().binom.isf(level, tosses, 0.5), dtype=np.int64) + 1


def binomial_chances(successes: NDArray[np.int64], trials: int, probability: float) -> NDArray[np.float64]:
    """The probability of exactly each of these numbers of successes."""
    return np.asarray(_scipy_stats().binom.pmf(successes, trials, probability), dtype=np.float64)


def binomial_tails(successes: NDArray[np.int64], trials: NDArray[np.int64], probability: float) -> NDArray[np.float64]:
    """The probability of at least each of these numbers of successes in the trials beside it."""
    return np.asarray(_scipy_stats().binom.sf(successes - 1, trials, probability), dtype=np.float64)


def _scipy_stats() -> ModuleType:
    try:
        from scipy import stats
    except ImportError as error:
        raise MissingExtraError(f"statistics need scipy, which is not installed here ({error})", _HINT) from error
    module: ModuleType = stats
    return module
