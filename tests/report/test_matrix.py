import re

from regforest.report.matrix import confusion_chart


def test_right_names_lie_on_the_diagonal_and_missed_ones_in_the_last_column():
    svg = confusion_chart({("L1", "L1"): 3, ("L1", "T12"): 1, ("T12", None): 2})
    cells = re.findall(r"<title>([^<]+)</title><rect class=(\w+) x='(\d+)' y='(\d+)'", svg)
    places = {text: (kind, (int(x) - 60) // 22, (int(y) - 60) // 22) for text, kind, x, y in cells}
    assert places == {
        "L1 called L1: 3 of 4": ("right", 1, 1),
        "L1 called T12: 1 of 4": ("wrong", 0, 1),
        "T12 missed: 2 of 2": ("wrong", 2, 0),
    }


def test_the_chart_of_nothing_is_empty():
    assert "<rect" not in confusion_chart({})
