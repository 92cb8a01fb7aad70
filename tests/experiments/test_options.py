from dataclasses import dataclass, field
from pathlib import Path

import pytest

from experiments.options import build_parser, parse, refuse_unknown, settings_keys, with_overrides
from regforest.errors import UsageError


@dataclass(frozen=True)
class Patch:
    sizes_mm: tuple[float, ...] = (8.0, 16.0)


@dataclass(frozen=True)
class Settings:
    trees: int = 10
    shrink: bool = False
    spacing_mm: float = 3.0
    anchor: str | None = None
    patch: Patch = field(default_factory=Patch)

    def __post_init__(self):
        if self.trees < 1:
            raise ValueError("at least one tree")


def parsed(*argv):
    parser = build_parser("demo", "text", ("spine-ct",), ("forest", "knn"))
    return parse(parser, ("forest", "knn"), argv)


def test_defaults_are_those_of_the_contract():
    options = parsed()
    assert options.data is None
    assert (options.layout, options.definition, options.methods) == ("auto", "closest-annotation", ("forest",))
    assert options.out == Path("results/demo")
    assert options.splits.name == "data_splits"
    assert (options.seed, options.limit, options.pictures, options.resume) == (0, None, True, False)


def test_lists_are_split_at_commas_and_repeated_names_count_once():
    options = parsed("--method", "knn, forest,knn", "--channels", "fat,wat", "--test-channels", "wat")
    assert options.methods == ("knn", "forest")
    assert (options.channels, options.test_channels) == (("fat", "wat"), ("wat",))


def test_overrides_are_typed_by_the_settings():
    texts = {"trees": "5", "shrink": "True", "spacing_mm": "2", "anchor": "L5", "patch.sizes_mm": "(4, 8, 12)"}
    settings, unknown = with_overrides(Settings(), texts)
    assert settings == Settings(5, True, 2.0, "L5", Patch((4, 8, 12)))
    assert isinstance(settings.spacing_mm, float)
    assert unknown == set()


@pytest.mark.parametrize("pair", [("trees", "2.5"), ("shrink", "1"), ("spacing_mm", "wide"), ("patch.sizes_mm", "3")])
def test_values_of_another_type_are_refused(pair):
    with pytest.raises(UsageError, match=f"--set {pair[0]}: expected"):
        with_overrides(Settings(), dict([pair]))


def test_values_that_the_settings_refuse_are_reported_with_the_reason():
    with pytest.raises(UsageError, match="--set trees=0: at least one tree"):
        with_overrides(Settings(), {"trees": "0"})


def test_unknown_settings_get_the_nearest_name():
    settings, unknown = with_overrides(Settings(), {"patch.size_mm": "(1,)"})
    assert settings == Settings()
    with pytest.raises(UsageError, match=r"'patch.size_mm'; did you mean 'patch.sizes_mm'\?"):
        refuse_unknown(unknown, settings_keys(settings))


def test_the_help_ends_with_examples_and_the_meaning_of_the_exit_status():
    text = build_parser("demo", "text", ("spine-ct",), ("forest",)).format_help()
    assert "python -m experiments.demo --data DIR --layout spine-ct --out" in text
    assert text.rstrip().endswith("3 data that cannot be used")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--method", ""), "--method expects one or several of forest, knn"), (("--seed", "-1"), "a number from 0 up")],
)
def test_nothing_as_a_method_and_a_negative_seed_are_wrong_usage(arguments, said, capsys):
    with pytest.raises(SystemExit) as left:
        parsed(*arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err
