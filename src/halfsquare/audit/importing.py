"""The object that ``MODULE:NAME`` names, from an installed module or a file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from halfsquare.audit.calling import describe
from halfsquare.errors import DataError, OptionError


def load_name(module: str, name: str) -> Any:
    """Import a module, which runs it, and return what ``name`` (dots allowed) is in it.

    Raises
    ------
    OptionError
        If there is no such module, file or name.
    DataError
        If the module raises while it is imported.
    """
    loaded = _import(module)
    found: Any = loaded
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            names = [
                n
                for n in dir(loaded)
                if not n.startswith("_") and callable(getattr(loaded, n, None))
            ]
            there = (
                f"; it has {', '.join(names[:12])}{', …' if len(names) > 12 else ''}"
                if names
                else ""
            )
            raise OptionError(f"{module} has no {name!r}{there}") from None
        except Exception as problem:  # names that are imported when they are first asked for
            raise DataError(f"{module}:{name} raised {describe(problem)}") from None
    return found


def _import(module: str) -> ModuleType:
    path = Path(module)
    is_file = module.endswith(".py")
    if is_file and not path.is_file():
        raise OptionError(f"there is no file {module}")
    folder = str((path.parent if is_file else Path()).resolve())
    if folder not in sys.path:  # as ``python -m`` does: the module's neighbours can be imported
        sys.path.insert(0, folder)
    try:
        if not is_file:
            return importlib.import_module(module)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise OptionError(f"{module} cannot be imported")
        loaded = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, loaded)
        spec.loader.exec_module(loaded)
        return loaded
    except OptionError:
        raise
    except ModuleNotFoundError as problem:
        if problem.name is not None and (
            module == problem.name or module.startswith(f"{problem.name}.")
        ):
            raise OptionError(
                f"there is no module {module!r} here or installed; a file is named as file.py:NAME"
            ) from None
        raise DataError(f"importing {module} raised {describe(problem)}") from None
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        raise DataError(f"importing {module} raised {describe(problem)}") from None
