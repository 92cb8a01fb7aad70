"""From stored cases to the files of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from experiments.outputs import RunFolder
from experiments.plan import SMOKE, Plan
from regforest.evaluation import confusion
from regforest.report import Card, write_page
from regforest.report.matrix import confusion_chart

__all__ = ["write_results"]

_FAILURE_COLUMNS = ("case", "stage", "error")


def write_results(
    plan: Plan, folder: RunFolder, failures: Sequence[Mapping[str, str]], seconds: float
) -> dict[str, Any]:
    """Write tables, page and summary.json of a run, and return the summary.

    Only stored cases are read, so that a resumed run ends like an unbroken one.
    """
    main, *others = plan.options.methods
    cases = _stored(plan, folder, main)
    summary = _summary(plan, cases, {name: _stored(plan, folder, name) for name in others}, failures, seconds)
    _write_tables(plan, folder, cases)
    folder.write_csv("failures.csv", failures, _FAILURE_COLUMNS)
    _write_report(plan, folder, summary, cases, failures)
    folder.write_json("summary.json", summary)
    return summary


def _stored(plan: Plan, folder: RunFolder, method: str) -> list[dict[str, Any]]:
    found = (folder.stored_case(method, case) for fold in plan.folds for case in fold.test)
    return sorted((case for case in found if case is not None), key=lambda case: str(case["case"]))


def _rows(cases: Sequence[Mapping[str, Any]], key: str = "rows") -> list[dict[str, Any]]:
    return list(chain.from_iterable(case.get(key, ()) for case in cases))


def _summary(
    plan: Plan,
    cases: Sequence[Mapping[str, Any]],
    others: Mapping[str, Sequence[Mapping[str, Any]]],
    failures: Sequence[Mapping[str, str]],
    seconds: float,
) -> dict[str, Any]:
    task, options = plan.experiment.task, plan.options
    return {
        "experiment": plan.experiment.name,
        "dataset": plan.dataset.name,
        "terms": plan.dataset.terms,
        "citation": plan.dataset.citation,
        "method": options.methods[0],
        "protocol": options.protocol,
        "definition": options.definition,
        "cases": len(cases),
        "failed": len({row["case"] for row in failures}),
        "seconds": round(seconds, 2),
        **_judgement(plan, cases),
        "methods": {name: {"cases": len(done), **_judgement(plan, done)} for name, done in others.items()},
        "published": [*_judged(plan, cases), *task.published()],
        "notes": [*plan.notes, *(f"{case['case']}: {note}" for case in cases for note in case["notes"])],
    }


def _judgement(plan: Plan, cases: Sequence[Mapping[str, Any]], key: str = "rows") -> dict[str, Any]:
    """Summarize the rows of all cases, and under ``"folds"`` those of each fold by themselves."""
    task, seed = plan.experiment.task, plan.options.seed
    folds = []
    for fold in plan.folds:
        tested = [case for case in cases if case["fold"] == fold.name]
        part = task.summarize(_rows(tested, key), seed)
        for detail in ("structures", "floor"):
            part.pop(detail, None)
        counts = {"train": len(fold.train), "test": len(fold.test), "cases": len(tested)}
        folds.append({"name": fold.name, **counts, **part})
    return {**task.summarize(_rows(cases, key), seed), "folds": folds}


def _judged(plan: Plan, cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the files of ``--published``, judged like the run itself."""
    if plan.options.published is None:
        return []
    pairs = [case for case in cases if case["published_readable"]]
    return [
        {
            "name": plan.options.published.resolve().name,
            "verified": True,
            "judged": True,
            "source": "landmark files judged by the same evaluator",
            "data": plan.dataset.name,
            "note": "",
            "cases": len(cases),
            "cases_without_file": sum(case["case"] not in plan.published for case in cases),
            **_judgement(plan, cases, "published_rows"),
            "comparison": plan.experiment.task.compare(
                _rows(pairs), _rows(pairs, "published_rows"), plan.options.seed
            ),
        }
    ]


def _write_tables(plan: Plan, folder: RunFolder, cases: Sequence[Mapping[str, Any]]) -> None:
    task = plan.experiment.task
    head = ("case", "patient", "fold")
    per_case, per_level = [], []
    for case in cases:
        which = {key: case[key] for key in head}
        verdict = {"status": case["status"], "seconds": case["seconds"]}
        judged = task.case_row(case["published_rows"]) if case.get("published_readable") else {}
        published = {f"published_{key}": value for key, value in judged.items()}
        per_case.append({**which, **task.case_row(case["rows"]), **verdict, **published})
        located = {entry["level"]: entry for entry in case["levels"]}
        for row in task.level_rows(case["rows"]):
            name = row.get("level", row.get("structure"))
            points = {
                **_coordinates("annotated", case["annotated"][name]),
                **_coordinates("predicted", located.get(name, {}).get("point")),
                **{key: located.get(name, {}).get(key) for key in ("score", "probability")},
            }
            per_level.append({**which, **row, **points})
    folder.write_csv("per_case.csv", per_case, head)
    folder.write_csv(task.table_file, per_level, head)


def _coordinates(whose: str, point: Sequence[float] | None) -> dict[str, float | None]:
    values = [None] * 3 if point is None else [round(value, 3) for value in point]
    return {f"{whose}_{axis}_mm": value for axis, value in zip("xyz", values, strict=True)}


def _write_report(
    plan: Plan,
    folder: RunFolder,
    summary: Mapping[str, Any],
    cases: Sequence[Mapping[str, Any]],
    failures: Sequence[Mapping[str, str]],
) -> None:
    task, dataset, options = plan.experiment.task, plan.dataset, plan.options
    facts = {
        "data": f"{dataset.name} ({dataset.layout})",
        "notes": "; ".join(summary["notes"]),
        "command": " ".join(options.command),
        "seed": str(options.seed),
        "settings, versions, times": "manifest.json beside this page",
    }
    terms = " ".join(filter(None, (summary["terms"], summary["citation"])))
    tables = [("Result beside the published ones", task.table(summary)), *task.more_tables(summary)]
    write_page(
        folder.root / "report.html",
        f"{summary['experiment']}: {dataset.name}",
        lead=task.table(summary).title,
        tables=tables,
        charts=[*task.charts(summary, _rows(cases)), _confusion(cases)] if cases else [],
        cards=[_card(plan, folder, case) for case in cases],
        failures=failures,
        facts=facts,
        notices=list(filter(None, (terms, SMOKE if options.quick else ""))),
    )


def _confusion(cases: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    counts = confusion((case["annotated"], _predicted(case)) for case in cases)
    return "Annotated levels (rows) and the name of the closest prediction within 20 mm", confusion_chart(counts)


def _card(plan: Plan, folder: RunFolder, case: Mapping[str, Any]) -> Card:
    card = replace(plan.experiment.task.card(case), fold=case["fold"])
    picture, volume = folder.picture_file(card.name), folder.volume_file(card.name)
    if not plan.options.pictures or not picture.exists():
        return card
    return replace(
        card,
        predicted=_predicted(case),
        annotated=case["annotated"],
        picture=picture.read_text(encoding="utf-8"),
        volume=volume.read_bytes() if volume.exists() else None,
    )


def _predicted(case: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["level"]: entry["point"] for entry in case["levels"]}
