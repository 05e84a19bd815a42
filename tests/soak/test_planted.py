"""The checker finds what it is for: a product with one law broken does not get through a day."""

import pytest

from tests.soak.day import Day
from tests.soak.planted import DEFECTS, Defect, planted


@pytest.mark.parametrize("defect", [pytest.param(d, id=name) for name, d in DEFECTS.items()])
def test_a_planted_defect_is_found_by_the_name_of_its_law(defect: Defect) -> None:
    """Each law has a defect that breaks it, and the violation names that law."""
    day = Day(defect.plan())

    with planted(defect):
        found = any(_names(defect.law, day.violations()) for _ in day.minutes())

    day.site.stage.close()
    assert found, day.violations()


def _names(law: str, violations: list[str]) -> bool:
    return any(text.startswith(f"{law}:") for text in violations)


def test_every_law_that_a_region_can_bear_witness_to_has_a_planted_defect() -> None:
    """All twelve laws: none is held by a checker that has never found anything."""
    assert {defect.law for defect in DEFECTS.values()} == {f"L{number}" for number in range(1, 13)}
