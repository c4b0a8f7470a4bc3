"""Terms of linear models: formulaic, patsy, SciPy and R's published values as oracles; errors
and their carets.
"""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from terms_tables import design_of, kinds_of, matrix_of, raw_columns, table

from halfsquare.errors import DataError, FormulaError
from halfsquare.loss import Floats
from halfsquare.models.terms.coding import full_rank
from halfsquare.models.terms.design import TermsDesign, needed_columns
from halfsquare.models.terms.expand import MOST_TERMS, expand, only_columns
from halfsquare.models.terms.parser import parse
from halfsquare.models.terms.splines import b_spline, natural_spline
from halfsquare.models.terms.syntax import unparse

formulaic = pytest.importorskip("formulaic")


def oracle(formula: str, frame: pd.DataFrame) -> tuple[list[str], Floats]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant columns and pandas' own
        matrix = formulaic.model_matrix(formula, frame).rhs
    return list(matrix.columns), matrix.to_numpy(dtype=float)


def spelled(names: list[str]) -> list[str]:
    """Without the quotation marks and the spaces that we write in one way and formulaic as they
    were given.
    """
    return [re.sub(r"[`'\" ]", "", name) for name in names]


NUMBERS = [
    "x",
    "z",
    "v",
    "`flow rate`",
    "log(x)",
    "poly(z, 2)",
    "bs(x, df=5)",
    "center(v)",
    "scale(z)",
    "poly(x, 3)",
    "bs(z, knots=[1.5, 2], degree=2, upper_bound=30, lower_bound=0)",
]
CATEGORIES = [
    "g",
    "h",
    "C(year)",
    "C(g, contr.sum)",
    "C(h, contr.helmert)",
    "C(g, contr.diff)",
    'C(g, contr.treatment("b"))',
    "C(year, contr.poly)",
    "C(g, contr.SAS)",
]


def random_formula(rng: np.random.Generator) -> str:
    pool = [str(f) for f in rng.choice(NUMBERS, 2, replace=False)]
    pool += [str(f) for f in rng.choice(CATEGORIES, 3, replace=False)]

    def term(depth: int) -> str:
        if depth == 0 or rng.random() < 0.3:
            return str(rng.choice(pool))
        left, right = term(depth - 1), term(depth - 1)
        form = rng.choice(["{}:{}", "{}*{}", "{} + {}", "({} + {})**2", "({} + {}):h", "{}/{}"])
        inside = str(form).format(left, right)
        return f"({inside})"

    parts = [term(int(rng.integers(0, 3))) for _ in range(rng.integers(1, 4))]
    ending = str(rng.choice(["", "", " - 1", " + 0", " - g", " - x:g"]))
    return "y ~ " + " + ".join(parts) + ending


@pytest.mark.parametrize("block", range(8))
def test_random_formulas_have_the_columns_of_formulaic(block: int) -> None:
    compared = 0
    for seed in range(block * 50, block * 50 + 50):
        rng = np.random.default_rng(seed)
        formula, frame = random_formula(rng), table(seed % 7)
        names, wanted = oracle(formula, frame)
        if wanted.shape[1] == 0 or wanted.shape[1] > 400:
            continue
        ours, matrix = matrix_of(formula, frame)
        assert spelled(ours) == spelled(names), formula
        assert matrix.shape == wanted.shape, formula
        np.testing.assert_allclose(
            matrix, wanted, rtol=1e-10, atol=1e-10 * np.abs(wanted).max(), err_msg=formula
        )
        compared += 1
    assert compared >= 40


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ g*h*C(year)",
        "y ~ g:h + x:g - 1",
        "y ~ g/h/C(year)",
        "y ~ (g + h + C(year))^3 - g",
        "y ~ x:g:h + g",
    ],
)
def test_columns_are_independent_and_span_all_cells(formula: str) -> None:
    frame = table(3, 400)
    _, matrix = matrix_of(formula, frame)
    assert np.linalg.matrix_rank(matrix) == matrix.shape[1]
    names, wanted = oracle(formula, frame)
    assert np.linalg.matrix_rank(np.hstack([matrix, wanted])) == matrix.shape[1] == len(names)


def test_what_r_means_where_formulaic_differs() -> None:
    columns = ["y", "a", "b", "c"]
    assert expand("y ~ a %in% b", columns).terms == ((), ("a", "b"))
    assert expand("y ~ .", columns).terms == ((), ("a",), ("b",), ("c",))
    assert expand("log(y) ~ . - b", columns).terms == ((), ("a",), ("c",))
    assert expand("y ~ (0 + a) + b", columns).terms == (("a",), ("b",))
    assert expand("y ~ a + 0 + 1", columns).terms == ((), ("a",))
    assert expand("y ~ a - 0 - 1", columns).terms == (("a",),)
    assert expand("y ~ (a + b + c)^2 - a:b", columns).terms == (
        (),
        ("a",),
        ("b",),
        ("c",),
        ("a", "c"),
        ("b", "c"),
    )
    assert expand("y ~ b:a + a:b", columns).terms == ((), ("b", "a"))
    assert expand("y ~ {a + b}", columns).terms == ((), ("I(a + b)",))
    assert "I(a ^ 2)" in expand("y ~ a^2", columns).notes[0]
    assert expand("y ~ 1", columns).terms == ((),)


def test_two_spellings_of_a_term_are_one() -> None:
    terms = expand(
        'y ~ log( x ) + log(x) + np.log(x) + I(x**2) + I( x^2 ) + Q("a b") + `a b`',
        ["y", "x", "a b"],
    ).terms
    assert terms == ((), ("log(x)",), ("I(x ^ 2)",), ("`a b`",))
    for text in (
        "a + b * c ^ 2",
        "-a * b",
        "(-a) ^ 2",
        "a - (b - c)",
        "2 ^ -1 * a",
        "a / (b * c)",
        "(a ^ b) ^ c",
    ):
        tree = parse(text)
        assert parse(unparse(tree)) == tree, text


@pytest.mark.parametrize(
    ("inside", "value"),
    [
        ("x^2 + 3*x", lambda x, z: x**2 + 3 * x),
        ("-x^2", lambda x, z: -(x**2)),
        ("2^-1*x", lambda x, z: x / 2),
        ("2^3^2*x", lambda x, z: 512 * x),
        ("x - z - 1", lambda x, z: x - z - 1),
        ("x/z/2", lambda x, z: x / z / 2),
        ("(x > 1.5) * (z <= 2)", lambda x, z: (x > 1.5) * (z <= 2) * 1.0),
        ("max(x, z) + min(x, 2)", lambda x, z: np.maximum(x, z) + np.minimum(x, 2)),
        (
            "log2(x) + log10(z) + log1p(x) + expm1(z/9)",
            lambda x, z: np.log2(x) + np.log10(z) + np.log1p(x) + np.expm1(z / 9),
        ),
        (
            "sin(x)*cos(z) + tanh(x) + abs(-x) + sqrt(z) + exp(-x) + pi",
            lambda x, z: np.sin(x) * np.cos(z) + np.tanh(x) + x + np.sqrt(z) + np.exp(-x) + np.pi,
        ),
        (
            "center(x)^2 + scale(log(z))",
            lambda x, z: (
                (x - x.mean()) ** 2 + (np.log(z) - np.log(z).mean()) / np.log(z).std(ddof=1)
            ),
        ),
        (
            "standardize(center(x)^2)",
            lambda x, z: (
                ((x - x.mean()) ** 2 - np.mean((x - x.mean()) ** 2)) / ((x - x.mean()) ** 2).std()
            ),
        ),
    ],
)
def test_arithmetic_is_that_of_numpy(inside: str, value) -> None:  # type: ignore[no-untyped-def]
    frame = table(1)
    _, matrix = matrix_of(f"y ~ 0 + I({inside})", frame)
    np.testing.assert_allclose(
        matrix[:, 0], value(frame.x.to_numpy(), frame.z.to_numpy()), rtol=1e-12
    )


WOMEN = pd.DataFrame(
    {
        "height": np.arange(58.0, 73.0),
        "weight": [115.0, 117, 120, 123, 126, 129, 132, 135, 139, 142, 146, 150, 154, 159, 164],
    }
)


def coefficients(formula: str, frame: pd.DataFrame) -> Floats:
    _, matrix = matrix_of(formula, frame)
    return np.linalg.lstsq(matrix, frame[formula.split("~")[0].strip()].to_numpy(), rcond=None)[0]


def test_the_examples_of_r_s_splines() -> None:
    """summary(lm(weight ~ bs(height, df = 5))) and ns, as R's help page of bs and ns prints
    them.
    """
    printed = [114.8799, 3.4657, 13.0300, 27.6161, 40.8481, 49.1296]
    np.testing.assert_allclose(coefficients("weight ~ bs(height, df=5)", WOMEN), printed, atol=6e-5)
    printed = [114.7447, 15.9474, 25.1695, 33.2582, 50.7894, 45.0363]
    np.testing.assert_allclose(coefficients("weight ~ ns(height, df=5)", WOMEN), printed, atol=6e-5)


def test_poly_of_r() -> None:
    """poly(1:10, 3) as R prints it: c(-0.495…, …) and norms of the recurrence."""
    frame = pd.DataFrame({"y": np.zeros(10), "x": np.arange(1.0, 11.0)})
    _, matrix = matrix_of("y ~ 0 + poly(x, 3)", frame)
    first = [-0.49543369, -0.38533732, -0.27524094, -0.16514456, -0.05504819]
    second = [0.52223297, 0.17407766, -0.08703883, -0.26111648, -0.34815531]
    third = [-0.4534252, 0.1511417, 0.3778543, 0.3346710, 0.1295501]
    np.testing.assert_allclose(matrix[:5].T, [first, second, third], atol=6e-8)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-13)


def test_poly_of_high_degree_far_from_zero_is_orthonormal() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"y": np.zeros(500), "x": 1e6 + rng.gamma(1.0, 1.0, 500)})
    _, matrix = matrix_of("y ~ 0 + poly(x, 8)", frame)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(8), atol=1e-9)
    np.testing.assert_allclose(matrix.sum(axis=0), 0.0, atol=1e-9)


def test_splines_of_patsy_and_scipy() -> None:
    patsy = pytest.importorskip("patsy")
    from scipy.interpolate import BSpline

    frame = table(5)
    x = frame.x.to_numpy()
    _, ours = matrix_of("y ~ 0 + bs(x, df=7, degree=2, include_intercept=True)", frame)
    theirs = np.asarray(
        patsy.dmatrix("0 + bs(x, df=7, degree=2, include_intercept=True)", {"x": x})
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    _, ours = matrix_of("y ~ 0 + cr(x, knots=[1, 2, 3])", frame)
    theirs = np.asarray(patsy.dmatrix("0 + cr(x, knots=[1, 2, 3])", {"x": x}))
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    # ns with the same knots spans what cr spans.
    _, natural = matrix_of("y ~ ns(x, knots=[1, 2, 3])", frame)
    assert np.linalg.matrix_rank(np.hstack([natural, theirs])) == natural.shape[1] == 5
    knots = [0.5, 0.5, 0.5, 0.5, 1.0, 4.0, 4.0, 4.0, 4.0]
    single = BSpline.basis_element(knots[2:7], extrapolate=False)(np.array([0.7, 2.0]))
    np.testing.assert_allclose(
        b_spline(np.array([0.7, 2.0]), [1.0], 0.5, 4.0, 3)[:, 2], single, rtol=1e-13
    )


def test_a_natural_spline_is_straight_beyond_its_ends() -> None:
    x = np.array([-3.0, -2.0, -1.0, 0.0, 5.0, 6.0, 7.0])
    basis = natural_spline(x, [1.0, 2.0], 0.0, 5.0)
    np.testing.assert_allclose(np.diff(basis[:4], 2, axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.diff(basis[4:], 2, axis=0), 0.0, atol=1e-12)
    assert np.abs(np.diff(b_spline(x, [1.0, 2.0], 0.0, 5.0, 3)[4:], 2, axis=0)).max() > 0.1


EVERYTHING = (
    "y ~ g*h + C(year, sum):x + poly(log(z), 3) + bs(x, df=6) + ns(v, df=4) + cr(z, df=4) + "
    "scale(center(x)^2) "
    "+ I(x > 2) + `flow rate`"
)


def test_states_have_the_same_bits_for_any_number_of_threads_and_survive_json() -> None:
    frame = table(4, 3000)
    one, columns = design_of(EVERYTHING, frame, threads=1)
    many, _ = design_of(EVERYTHING, frame, threads=5)
    assert json.dumps(one.as_dict()) == json.dumps(many.as_dict())
    back = TermsDesign.from_dict(json.loads(json.dumps(one.as_dict())))
    assert back.names == one.names
    np.testing.assert_array_equal(back.write(columns, 3000), one.write(columns, 3000))
    assert [name for name, _, _ in one.spans][:3] == ["Intercept", "g", "h"]
    assert one.spans[-1][2] == len(one.names)


def test_new_rows_are_read_with_what_was_learnt() -> None:
    frame, later = table(6, 300), table(7, 40)
    made, _ = design_of(EVERYTHING, frame)
    texts = {c: list(levels) for c, levels in made.texts.items()}
    columns = raw_columns(later[list(made.columns)], texts)
    whole = made.write(columns, 40)
    single = [made.write({k: v[i : i + 1] for k, v in columns.items()}, 1)[:, 0] for i in range(40)]
    np.testing.assert_array_equal(whole, np.array(single).T)
    # formulaic's spec keeps what it learnt as well.
    formula = "y ~ g*C(year) + poly(x, 3) + scale(z) + bs(v, df=5, lower_bound=-9, upper_bound=9)"
    made, _ = design_of(formula, frame)
    spec = formulaic.model_matrix(formula, frame).model_spec
    columns = raw_columns(
        later[list(made.columns)], {c: list(levels) for c, levels in made.texts.items()}
    )
    np.testing.assert_allclose(
        made.write(columns, 40).T, spec.get_model_matrix(later).rhs, atol=1e-11
    )


def test_a_whole_weight_stands_for_rows() -> None:
    frame = table(8, 90)
    weight = np.random.default_rng(0).integers(1, 4, 90).astype(float)
    repeated = frame.loc[frame.index.repeat(weight.astype(int))].reset_index(drop=True)
    weighted, columns = design_of(EVERYTHING, frame, weight=weight)
    plain, _ = design_of(EVERYTHING, repeated)
    np.testing.assert_allclose(weighted.write(columns, 90), plain.write(columns, 90), atol=1e-9)


def test_values_are_learnt_from_training_rows_and_levels_from_all() -> None:
    frame = table(9, 100)
    frame.loc[99, ["x", "g"]] = [400.0, "d"]
    made, _ = design_of("y ~ center(x) + g", frame, train=60)
    assert made.states["center(x)"]["mean"] == pytest.approx(frame.x[:60].mean(), rel=1e-13)
    assert made.levels_of("g") == ["a", "b", "c", "d"]


def test_missing_values_and_unseen_levels() -> None:
    frame = table(2, 60)
    made, _ = design_of("y ~ x*g + C(year)", frame)
    columns = {
        "x": np.array([1.0, np.nan, 2.0]),
        "g": np.array([-1.0, 0.0, 1.0]),
        "year": np.array([2011.0, 2012.0, np.nan]),
    }
    out = made.write(columns, 3)
    names = list(made.names)
    assert np.isnan(out[names.index("x")]).tolist() == [False, True, False]
    assert np.isnan(out[names.index("g[T.b]")]).tolist() == [True, False, False]
    assert np.isnan(out[names.index("C(year)[T.2014]")]).tolist() == [False, False, True]
    assert made.unseen(columns) is None
    assert made.unseen({**columns, "g": np.array([0.0, -2.0, 0.0])}) == ("g", 1)
    assert made.unseen({**columns, "year": np.array([2011.0, 2012.0, 2013.0])}) == ("year", 2)


def test_a_level_of_numbers_is_spelled_one_way() -> None:
    frame = table(2, 60)
    whole, _ = design_of("y ~ C(year)", frame)
    frame["year"] = frame.year.astype(float)
    assert design_of("y ~ C(year)", frame)[0].as_dict() == whole.as_dict()
    assert whole.levels_of("year") == ["2011", "2012", "2014"]
    frame["year"] = frame.year / 4
    assert design_of("y ~ C(year)", frame)[0].levels_of("year") == ["502.75", "503", "503.5"]


def test_levels_in_the_order_of_the_formula() -> None:
    frame = table(2, 60)
    assert matrix_of('y ~ C(g, levels=["c", "a", "b"])', frame)[0][1:] == [
        'C(g, levels=["c", "a", "b"])[T.a]',
        'C(g, levels=["c", "a", "b"])[T.b]',
    ]
    with pytest.raises(DataError, match="'b', which is none of the levels listed"):
        design_of('y ~ C(g, levels=["c", "a"])', frame)


@pytest.mark.parametrize(
    ("formula", "message", "at"),
    [
        ("y ~ x + lgo(x)", "did you mean log?", 8),
        ("y ~ x + w", "'w' is no column of the data", 8),
        ("y ~ x + log", "log is a function: write log(x)", 8),
        ("y ~ x + log(g)", "column 'g' is text", 12),
        ("y ~ 2*x", "a number other than 0 and 1 is no term; write I(2*x)", 4),
        ("y ~ x +", "the formula ends here", 7),
        ("y ~ x z", "'z' is not expected here", 6),
        ("y ~ (x", "never closed", 4),
        ("y ~ x)", "closes nothing", 5),
        ("y ~ x $ z", "'$' is not allowed", 6),
        ("y ~ x | g", "absorb", 6),
        ("y = x", "'=' stands between", 2),
        ("y ~ x == 2", "write I(a == b)", 6),
        ("y ~ C(x, suum)", "unknown coding 'suum'", 9),
        ("y ~ C(log(x))", "C takes a column", 6),
        ("y ~ poly(x, 0)", "degree is 0", 12),
        ("y ~ poly(x, 2, wrong=1)", "poly has no wrong", 21),
        ("y ~ bs(x, df=2)", "at least 3 columns", 13),
        ("y ~ bs(x, df=5, knots=[1])", "give one", 13),
        ("y ~ x^1.5", "whole number", 6),
        ("y ~ x^99", "from 1 to 20", 6),
        ("y ~ log(x, 2)", "takes 1 argument", 4),
        ("y ~ I(x:z)", "inside a function ':' has no meaning", 7),
        ('y ~ "x"', "a text in quotation marks is no term", 4),
        ("y ~ (a - 1):x", "they cannot be crossed", 11),
        ("y ~ 0", "nothing stands right of '~'", 4),
        ("~ x", "the left side is missing", 0),
        ("y ~ x.__class__", "'x.__class__' is no column", 4),
        ("y ~ __import__('os')", "unknown function '__import__'", 4),
        ("y ~ I((lambda: 1)())", "'lambda' is no column|not expected|is not expected", None),
    ],
)
def test_a_refusal_shows_its_place(formula: str, message: str, at: int | None) -> None:
    frame = table(0, 30)
    frame["a"] = 1.0
    with pytest.raises(FormulaError) as caught:
        needed_columns(expand(formula, list(frame)), kinds_of(frame))
    shown = str(caught.value).splitlines()
    if at is None:
        return
    assert message in shown[0]
    assert shown[1].strip() == formula.strip()
    assert shown[2].index("^") - 2 == at


def test_limits() -> None:
    columns = ["y", *(f"x{i}" for i in range(3000))]
    with pytest.raises(FormulaError, match="nested more than 40 deep"):
        expand("y ~ " + "(" * 60 + "x1" + ")" * 60, columns)
    with pytest.raises(FormulaError, match=f"more than {MOST_TERMS:,} terms"):
        expand("y ~ (" + " + ".join(columns[1:40]) + ")^4", columns)
    with pytest.raises(FormulaError, match="at most 20,000 are read"):
        expand("y ~ " + "x1 + " * 5000 + "x1", columns)
    assert len(expand("y ~ " + " + ".join(columns[1:1500]), columns).terms) == 1500
    with pytest.raises(FormulaError, match="more than 5,000 columns"):
        frame = pd.DataFrame({"y": np.zeros(200), **{k: np.arange(200.0) for k in "ab"}})
        design_of("y ~ C(a):C(b)", frame)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ log(v)", "log(v) is no finite number where v = -"),
        ("y ~ poly(h1, 2)", "needs more than 2 different values of h1"),
        ("y ~ scale(one)", "one does not vary"),
        ("y ~ C(one)", "has one level alone, '1'"),
        ("y ~ C(g, treatment('z'))", "'z' is no level of 'g'; the levels are 'a', 'b', 'c'"),
        ("y ~ C(g, poly([1, 2]))", "2 scores for 3 levels"),
        ("y ~ bs(h1, df=6)", "expected different values between 0 and 1"),
    ],
)
def test_columns_that_do_not_have_what_a_factor_needs(formula: str, message: str) -> None:
    frame = table(0, 60)
    frame["one"], frame["h1"] = 1.0, (frame.h == "yes") * 1.0
    with pytest.raises(DataError) as caught:
        made, columns = design_of(formula, frame)
        made.require_numbers(columns, made.write(columns, 60))
    assert message in str(caught.value)


def test_which_formula_has_no_parameter() -> None:
    columns = ["y", "a", "b", "g"]
    yes = [
        "y ~ a*b",
        "y ~ a + b",
        "y ~ .",
        "y ~ C(g, sum) + poly(a, 2, raw=True)",
        "log(y) ~ log(a)",
        "y ~ I(a*b^2)",
        "y ~ a:b - 1",
    ]
    no = ["y ~ k*a", "y ~ b1 + b2*exp(-b3*a)", "y ~ 3", "y ~", "a*b", "y ~ a**"]
    assert [only_columns(text, columns) for text in yes] == [True] * len(yes)
    assert [only_columns(text, columns) for text in no] == [False] * len(no)


def test_the_rule_of_coding_on_its_own() -> None:
    both = {"a", "b"}
    assert full_rank([(), ("a",), ("b",), ("a", "b")], both) == [
        [()],
        [(("a", True),)],
        [(("b", True),)],
        [(("a", True), ("b", True))],
    ]
    assert full_rank([("a",), ("b",)], both) == [[(("a", False),)], [(("b", True),)]]
    assert full_rank([("a", "b")], both) == [[(("a", False), ("b", False))]]
