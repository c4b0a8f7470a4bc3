"""What every trainer returns, and a fitted model is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.results.inference.cluster_sums import ClusterSums
from halfsquare.solvers.base import Record, Termination
from halfsquare.solvers.solution import Path


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a trainer found besides the parameters.

    Attributes
    ----------
    degrees_of_freedom : float or None
        Σw less the effective parameters, where the noise was estimated with them.
    noise_known : bool
        Whether the noise was measured, row by row, and not estimated.
    chi2, chi2_p : float or None
        Then Σ (o-t)²/σ², and the probability of one as large.
    test_degrees_of_freedom : float or None
        Of Student's t, where the errors are not classical.
    errors, errors_correction, errors_facts
        The errors that were chosen, their small-sample correction, numbers of clusters.
    """

    degrees_of_freedom: float | None = None
    noise_known: bool = False
    chi2: float | None = None
    chi2_p: float | None = None
    test_degrees_of_freedom: float | None = None
    errors: str | None = None
    errors_correction: str | None = None
    errors_facts: dict[str, Any] | None = None


@dataclass(frozen=True)
class AverageEffects:
    """Average effects as functions of the columns of the design: their names, and a row of factors
    for each.
    """

    names: tuple[str, ...] = ()
    rows: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class HeteroscedasticityTest:
    """Breusch & Pagan's test; see :mod:`halfsquare.results.inference.heteroscedasticity`."""

    statistic: float
    degrees_of_freedom: float
    p: float


@dataclass(frozen=True, kw_only=True)
class InferenceFacts:
    """What tests and effects of a linear model are read off besides its coefficients.

    Attributes
    ----------
    errors : str
        Which errors were asked for.
    aliased : tuple of str
        Columns of the design that those before them determine.
    means, standard_deviations : dict of column to float, or None
        Of the number columns of a formula, on the training rows.
    """

    errors: str
    aliased: tuple[str, ...] = ()
    breusch_pagan: HeteroscedasticityTest | None = None
    means: dict[str, float] | None = None
    standard_deviations: dict[str, float] | None = None
    average_effects: AverageEffects | None = None


@dataclass(frozen=True, kw_only=True)
class LinearFacts(Facts):
    """Of a linear model; see :class:`halfsquare.solvers.least_squares.Solution`.

    Attributes
    ----------
    formula : str or None
        Of terms.
    shift : float
        What the target was less when ``triangle`` was summed.
    absorbed : dict of column to int, or None
        How many levels each absorbed effect has.
    singletons : int
        Rows left out because they are alone in such a level.
    overall_r2 : float or None
        R² that counts absorbed effects as explained.
    inference : InferenceFacts or None
        What tests and effects are read off besides.
    undetermined : tuple of str
        Coefficients that the rows do not determine.
    undetermined_directions : tuple of (d,)
        Unit vectors, in the design's units, along which the rows say nothing.
    log_weight : float or None
        Σ log w of the rows where they have weights that are no counts; the likelihood needs it.
    cluster_sums : ClusterSums or None
        Of few clusters, for the wild bootstrap.
    """

    l2: float
    rank: int
    path: Path
    reciprocal_condition: float
    formula: str | None = None
    target_function: str = "identity"
    shift: float = 0.0
    absorbed: dict[str, int] | None = None
    absorbed_degrees_of_freedom: int = 0
    singletons: int = 0
    overall_r2: float | None = None
    inference: InferenceFacts | None = None
    undetermined: tuple[str, ...] = ()
    undetermined_directions: tuple[tuple[float, ...], ...] = ()
    log_weight: float | None = None
    cluster_sums: ClusterSums | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkFacts(Facts):
    """Of one network of an ensemble.

    Attributes
    ----------
    relevance : tuple of float
        The share of each input group in the mean square slope of the outputs.
    log_evidence : float or None
    held_out_mse, held_out_ensemble_mse : float or None
        On the rows left out, standardized: of one member, and of the ensemble.
    held_out_rows : int or None
    penalties : tuple of float
        Those the evidence set, of each group of parameters; see
        :class:`halfsquare.solvers.evidence.Belief`.
    covariance_share : float
        By what the covariance was multiplied so that errors on rows left out are as large as said.
    """

    member: int
    method: str
    hidden: tuple[int, ...]
    relevance: tuple[float, ...]
    log_evidence: float | None = None
    held_out_mse: float | None = None
    held_out_ensemble_mse: float | None = None
    held_out_rows: int | None = None
    penalties: tuple[float, ...] = ()
    covariance_share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class TreesFacts(Facts):
    """Of one member of boosted trees.

    Attributes
    ----------
    ensemble : str
        Which of the two it belongs to.
    fold : int
        What it left out.
    trees : tuple of int
        How many it has for each target.
    """

    ensemble: str
    fold: int
    trees: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FormulaFacts(Facts):
    """Of a formula.

    Attributes
    ----------
    undetermined : tuple of str
        Parameters that some direction moves along which the loss does not change.
    fixed : dict of str to float
        Parameters that were held.
    on_bound : dict of str to (low, high)
        The one-sided intervals of parameters that lie on a bound.
    linear : tuple of str
        Parameters that were solved for exactly.
    correlation : (p, p)
    profile : dict of str to (low, high), or None
        Profile-likelihood intervals.
    sigma_x : dict of column to column
        Columns that have errors, and those that hold their standard deviations.
    """

    formula: str
    sse: float
    sigma: float
    iterations: int
    undetermined: tuple[str, ...]
    fixed: dict[str, float]
    linear: tuple[str, ...]
    correlation: tuple[tuple[float, ...], ...]
    extended_precision: bool
    on_bound: dict[str, tuple[float, float]] = field(default_factory=dict)
    profile: dict[str, tuple[float, float]] | None = None
    sigma_x: dict[str, str] = field(default_factory=dict)


AnyFacts = LinearFacts | NetworkFacts | TreesFacts | FormulaFacts
F = TypeVar("F", bound=AnyFacts, covariant=True)


@dataclass(frozen=True)
class Trained(Generic[F]):
    """One trained model, in the units of the design it was given.

    Attributes
    ----------
    model : Model
    parameters : (p,)
    covariance : (p, p), (q, q) or None
        Of the parameters, or of the last q, noise included (σ² times the inverse curvature); None
        if not known.
    noise : (k,)
        Variance of the targets about the outputs, in the squared unit of the design's target; NaN
        where it is not known.
    effective_parameters : float
        Degrees of freedom that the data determine; p without a penalty.
    termination : Termination
        Why the descent ended.
    facts : LinearFacts, NetworkFacts, TreesFacts or FormulaFacts
    warnings : tuple of str
    history : tuple of Record
        Not kept in a file; the fitted model keeps that of its first member.
    held_out : (n,) or None
        Of each row, in the order of the chunks, its own MSE from models that had not seen it; NaN
        where there was none. Not kept in a file.
    left_out : (2, n, k) or None
        Of each row, in the order of the chunks, the errors of two members that had not seen it; NaN
        where there were none. Not kept in a file.
    share : float
        Of a blend: the weight of this member, over that of all. Equal members have equal shares.
    robust : same shape as covariance, or None
        Of the parameters, by errors other than classical ones: it is then what is told of them.
    triangle : (p+1, p+1) or None
        Of a linear model, R of [design | target]: the sums that tests of its terms are read off.
    root : (p, p) or None
        L with L Lᵀ the covariance, where its own digits cancel in a variance of outputs: those of a
        formula whose columns lie far from 0.
    """

    model: Model
    parameters: Floats
    covariance: Floats | None
    noise: Floats
    effective_parameters: float
    termination: Termination
    facts: F
    warnings: tuple[str, ...] = ()
    history: tuple[Record, ...] = field(default=(), repr=False)
    held_out: Floats | None = field(default=None, repr=False)
    left_out: Floats | None = field(default=None, repr=False)
    share: float = 1.0
    robust: Floats | None = field(default=None, repr=False)
    triangle: Floats | None = field(default=None, repr=False)
    root: Floats | None = field(default=None, repr=False)

    def bare(self) -> Trained[F]:
        """The same without what is not kept in a file."""
        return replace(self, history=(), held_out=None, left_out=None)

    @property
    def told(self) -> Floats | None:
        """The covariance that errors of parameters and outputs are stated by."""
        return self.covariance if self.robust is None else self.robust
