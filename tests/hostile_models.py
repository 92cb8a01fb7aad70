"""Model files changed behind the back of their checksums, as somebody would who wants them to do harm."""

import json
import zipfile

import numpy as np

NEVER_A_SETTING = (None, True, "x", [], {}, [None], 1e300, -1e300, 10**400, 10**30)


def leaves(value, path=()):
    """Paths to all numbers, texts and lists of numbers in settings."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    return [path]


def with_setting(source, target, path, value):
    """A model whose description holds another value at a place; NaN and the like are written as they are."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(members["model.json"])
    place = content["settings"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    members["model.json"] = json.dumps(content).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target


def hostile_arrays(array):
    """What no array of a model may be replaced by."""
    yield "another type", array.astype(np.float32 if array.dtype != np.float32 else np.float64)
    yield "another axis", array[None]
    yield "nothing", np.zeros(0, array.dtype)
    if array.ndim and len(array) > 1:
        yield "cut off", array[:-1]
    if array.dtype.kind == "f" and array.size:
        for value in (np.nan, np.inf, -np.inf, 1e30):
            changed = array.copy()
            changed.flat[array.size // 2] = value
            yield f"with {value}", changed
