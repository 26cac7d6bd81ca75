"""What chance makes is counted, and what rounding does is a yardstick."""

from partlib import chance, questions
from partlib.results import Spread, spread
from partlib.verdict import Comparison


def differs(mean: float, half: float = 0.5, n: int = 5) -> Spread:
    return spread([mean - half, mean + half] * (n // 2) + [mean] * (n % 2))


def test_false_alarms_are_counted() -> None:
    both = Comparison("a − b", "all", differs(3.0), differs(-3.0))
    text = chance.false_alarms(
        [both] * 4 + [Comparison("a − b", "all", differs(0), differs(0))] * 2
    )
    assert text.startswith("Of 12 intervals 8 leave zero out. If nothing differed, about 0.6 would")
    row = {"intervals": 2, "leave zero out": 2, "by chance about": "0.1"}
    assert chance.counts([both]) == row
    same = Comparison("a − b", "all", differs(0.0, half=0.0), differs(3.0))
    assert chance.false_alarms([same]).startswith("Of 1 intervals 1 leaves"), "the same weights"
    assert "Of 0 intervals 0 leave zero" in chance.false_alarms([])
    one = [Comparison("a − b", "all", differs(3.0), differs(0.0))]
    assert "Of 2 intervals 1 leaves zero" in chance.false_alarms(one)
    assert chance.false_alarms([differs(3.0), differs(0.0), None, spread([1.0])]) == (
        chance.false_alarms(one)
    )


def test_rounding_is_the_yardstick() -> None:
    small = Comparison("a in float32 − a", "", differs(0.2), differs(-0.4))
    large = Comparison("b in float32 − b", "", differs(0.1), differs(-1.3))
    text = chance.rounding([small, large])
    assert f"Where rounding alone differs: {chance.false_alarms([small, large])}" in text
    assert "largest of the 4 is **-1.30** (b in float32 − b, 5 seeds)" in text
    assert "typically **0.69 points**" in text  # of 0.2, 0.4, 0.1 and 1.3
    assert "scatter alone would make 0.22" in text  # four deviations of 0.5, over five seeds
    assert "typically **0.32 points**" in chance.rounding([small])
    assert "**not run**" in chance.rounding([Comparison("a − a", "", None, None)])
    assert "**not run**" in chance.rounding([])
    assert {ours for ours, *_ in questions.ROUNDING} >= {"at-fp32", "part-mart-s10-fp32"}
