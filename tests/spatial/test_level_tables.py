import pytest

from regforest.errors import LevelError, UsageError
from regforest.spatial import level
from regforest.spatial.level_tables import LEVEL_TABLES, level_table, numbers_in

# copied by hand from the lists that the tools publish, first and last of every run of numbers
PUBLISHED = {
    "verse": {1: "C1", 7: "C7", 8: "T1", 19: "T12", 20: "L1", 25: "L6", 26: "S1", 28: "T13"},
    "totalsegmentator": {26: "S1", 27: "L5", 31: "L1", 32: "T12", 43: "T1", 44: "C7", 50: "C1"},
    "totalsegmentator-v1": {18: "L5", 22: "L1", 23: "T12", 34: "T1", 35: "C7", 41: "C1"},
    "totalsegmentator-mr": {2: "L5", 6: "L1", 7: "T12", 18: "T1", 19: "C7", 25: "C1"},
    "totalspineseg": {
        11: "C1", 17: "C7", 21: "T1", 32: "T12", 41: "L1", 45: "L5", 46: "L6", 63: "C2/C3", 67: "C6/C7", 71: "C7/T1",
        72: "T1/T2", 82: "T11/T12", 91: "T12/L1", 92: "L1/L2", 95: "L4/L5", 100: "L5/S1",
    },
    "sct": {1: "C1", 7: "C7", 8: "T1", 19: "T12", 20: "L1", 24: "L5", 25: "S1"},
    "sct-discs": {3: "C2/C3", 4: "C3/C4", 8: "C7/T1", 9: "T1/T2", 20: "T12/L1", 21: "L1/L2", 25: "L5/S1"},
}  # fmt: skip
SIZES = {"totalsegmentator": 25, "totalsegmentator-v1": 24, "totalsegmentator-mr": 24, "totalspineseg": 48, "sct": 25,
         "sct-discs": 23}  # fmt: skip


@pytest.mark.parametrize("table", LEVEL_TABLES)
def test_numbers_are_those_that_the_tools_publish(table):
    found = level_table(table)
    assert {number: found[number] for number in PUBLISHED[table]} == PUBLISHED[table]
    assert len(found) == SIZES.get(table, len(found))


@pytest.mark.parametrize("table", LEVEL_TABLES)
def test_a_table_goes_both_ways(table):
    found = level_table(table)
    assert len(set(found.values())) == len(found)
    assert all(level(name).name == name for name in found.values())
    assert numbers_in(table, found.values()) == {name: number for number, name in found.items()}


@pytest.mark.parametrize(("table", "number"), [("totalsegmentator", 25), ("totalspineseg", 50), ("sct-discs", 1)])
def test_what_is_no_level_here_has_none(table, number):
    assert number not in level_table(table)


def test_verse_is_the_numbering_inside():
    assert all(level(name).number == number for number, name in level_table("verse").items())


def test_levels_that_a_table_does_not_know_are_all_named():
    with pytest.raises(LevelError, match="'totalsegmentator' has no number for T13, L6"):
        numbers_in("totalsegmentator", ["L5", "T13", "L6"])


def test_an_unknown_table_brings_the_nearest_one():
    with pytest.raises(UsageError, match="did you mean 'totalspineseg'"):
        level_table("TotalSpineSeq")
