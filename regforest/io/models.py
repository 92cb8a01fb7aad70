"""Model files: one zip of plain arrays and JSON. Nothing in it is ever executed.

Layout of an ``.rfm`` file (zip, members deflated)::

    model.json          {"format": "regforest model", "version": 1, "kind": .., "settings": {..},
                         "arrays": {name: {"dtype": .., "shape": [..], "sha256": ..}}}
    arrays/<name>.npy   numpy's format, without pickled objects

Equal models give equal files: members are sorted and carry a fixed date. Everything that a reader allocates is
checked against limits and against the declared sizes first.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.errors import ModelError
from regforest.io._atomic import staged

__all__ = ["join_parts", "part_of", "read_model", "write_model"]

_FORMAT, _VERSION = "regforest model", 1
_MEMBER = "model.json"
_DATE = (1980, 1, 1, 0, 0, 0)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_DTYPES = frozenset(["|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"])
_MAX_JSON_BYTES = 16 * 2**20
_MAX_BYTES = 8 * 2**30
_MAX_ARRAYS = 1000
# deflate reaches 1032 : 1, the arrays of a model hardly 10 : 1; small files may hold more
_MAX_RATIO, _ALWAYS_ALLOWED_BYTES = 64, 64 * 2**20
_HEADER_BYTES = 4096


def write_model(path: str | Path, kind: str, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a model file, at once or not at all.

    Parameters
    ----------
    path : str or Path
        File to write, by custom with the suffix ``.rfm``.
    kind : str
        What it is a model of; asked for when reading.
    settings : mapping
        What JSON can hold exactly: text, finite numbers, booleans, None, lists, mappings with text keys.
    arrays : mapping of str to ndarray
        Booleans, integers and floats of 4 or 8 bytes, with names made of letters, digits, ``_``, ``.`` and ``-``.

    Raises
    ------
    ModelError
        If settings or arrays cannot be stored.
    FileError
        If the file cannot be written.
    """
    path = Path(path)
    stored = {name: _storable(path, name, array) for name, array in sorted(arrays.items())}
    described = {
        name: {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": _digest(array)}
        for name, array in stored.items()
    }
    content = {"format": _FORMAT, "version": _VERSION, "kind": kind, "settings": settings, "arrays": described}
    try:
        text = json.dumps(content, sort_keys=True, allow_nan=False, indent=1)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: the settings cannot be written as JSON: {error}") from error
    with staged(path) as target, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_member(_MEMBER), text)
        for name, array in stored.items():
            with archive.open(_member(f"arrays/{name}.npy"), "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=False)


def read_model(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read what `write_model` wrote.

    Parameters
    ----------
    path : str or Path
        Model file.
    kind : str
        Kind that is expected.

    Returns
    -------
    settings : dict
    arrays : dict of str to ndarray
        Bit for bit what was written.

    Raises
    ------
    ModelError
        If the file is missing, damaged, too large, of another kind or of a newer version; the message names it.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, for ever
            raise ModelError(f"{path}: expected a regforest model, found something that is no file")
        with zipfile.ZipFile(path) as archive:
            return _read(path, archive, kind)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such model file") from error
    except ModelError:
        raise
    except RecursionError as error:
        raise ModelError(f"{path}: the model file is damaged (settings nested too deeply)") from error
    except Exception as error:  # a damaged zip makes the standard library raise nearly anything
        raise ModelError(f"{path}: expected a regforest model, but it cannot be read: {error!r}") from error


def join_parts(parts: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Put the arrays of named parts of a model together, as ``part.array``.

    Examples
    --------
    >>> sorted(join_parts({"forest": {"roots": np.zeros(1)}, "boxes": {"channels": np.zeros(2)}}))
    ['boxes.channels', 'forest.roots']
    """
    return {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}


def part_of(arrays: Mapping[str, NDArray[Any]], part: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of one part of a model, as they were given to `join_parts`."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _read(path: Path, archive: zipfile.ZipFile, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    infos = archive.infolist()
    members = {info.filename: info for info in infos}
    if len(members) != len(infos) or _MEMBER not in members:
        raise ModelError(f"{path}: expected a regforest model, found a zip without (or with two) {_MEMBER}")
    _check_sizes(path, infos)
    content = json.loads(_content(path, archive, members[_MEMBER], _MAX_JSON_BYTES), parse_constant=_refuse)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ModelError(f"{path}: expected a regforest model, found another format")
    version = content.get("version")
    if version != _VERSION:
        advice = "update regforest" if isinstance(version, int) and version > _VERSION else "train it again"
        raise ModelError(f"{path}: expected model version {_VERSION}, found {version!r}; {advice}")
    if content.get("kind") != kind:
        found = f"found {content.get('kind')!r}; name one that was trained for this"
        raise ModelError(f"{path}: expected a model of kind {kind!r}, {found}")
    settings, described = content.get("settings"), content.get("arrays")
    if not isinstance(settings, dict) or not isinstance(described, dict) or len(described) > _MAX_ARRAYS:
        raise ModelError(f"{path}: settings or list of arrays missing or damaged")
    expected = {_MEMBER} | {f"arrays/{name}.npy" for name in described}
    if set(members) != expected:
        raise ModelError(f"{path}: the members do not match the list: {sorted(set(members) ^ expected)[:5]}")
    arrays = {
        name: _read_array(path, archive, members[f"arrays/{name}.npy"], name, about)
        for name, about in described.items()
    }
    return settings, arrays


def _read_array(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, about: Mapping[str, Any]
) -> NDArray[Any]:
    dtype, shape = about["dtype"], about["shape"]
    whole = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if dtype not in _DTYPES or not whole or len(shape) > 8 or not _NAME.fullmatch(name):
        raise ModelError(f"{path}: array {name!r} of type {dtype!r} and shape {shape!r} is not allowed")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not size < info.file_size <= size + _HEADER_BYTES:
        raise ModelError(f"{path}: array {name!r} should hold {size} bytes, its member declares {info.file_size}")
    stream = io.BytesIO(_content(path, archive, info, size + _HEADER_BYTES))
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ModelError(f"{path}: array {name!r} is in another version of numpy's format than 1.0")
    header = np.lib.format.read_array_header_1_0(stream)  # compared before anything of the shape it gives is made
    data = stream.read()
    fits = header == (tuple(shape), False, np.dtype(dtype)) and len(data) == size
    if not fits or hashlib.sha256(data).hexdigest() != about["sha256"]:
        raise ModelError(f"{path}: array {name!r} does not match its checksum; the file is damaged, get it again")
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _check_sizes(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse what would unpack to far more than the file holds, before anything is unpacked."""
    declared, present = sum(info.file_size for info in infos), path.stat().st_size
    allowed = min(_MAX_BYTES, _ALWAYS_ALLOWED_BYTES + _MAX_RATIO * present)
    if declared > allowed:
        raise ModelError(f"{path}: its members declare {declared} bytes, more than the {allowed} that it may hold")
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
        raise ModelError(f"{path}: expected members that are stored or deflated, found another compression")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} among the settings")


def _content(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """Read one member, refusing before and while unpacking what is larger than it may be."""
    if info.file_size > limit:
        raise ModelError(f"{path}: member {info.filename!r} declares {info.file_size} bytes, more than it may hold")
    with archive.open(info) as stream:
        data = stream.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise ModelError(f"{path}: member {info.filename!r} is not of the declared size")
    return data


def _storable(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    plain = np.asarray(array, order="C")
    plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    if plain.dtype.str not in _DTYPES or not _NAME.fullmatch(name):
        raise ModelError(f"{path}: array {name!r} of type {plain.dtype} cannot be stored in a model")
    return plain


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info
