from fuzz.__main__ import SEEDS
from fuzz.parsers import parsers
from regforest.errors import RegForestError


def test_every_parser_has_seeds_and_reads_at_least_one_of_them(tmp_path):
    assert {path.name for path in SEEDS.iterdir() if path.is_dir()} == set(parsers())
    for name, (file_name, parse) in parsers().items():
        results = []
        for seed in sorted((SEEDS / name).iterdir()):
            (tmp_path / file_name).write_bytes(seed.read_bytes())
            try:
                results.append(parse(tmp_path / file_name))
            except RegForestError:
                continue
        assert results, name
