"""The commands that say what there is: list, show."""

from typing import Annotated

import typer

from restoration.cli_options import Json


def list_(
    family: Annotated[
        str | None, typer.Argument(help="networks, terms, degradations, protocols, restorers, …")
    ] = None,
    json: Json = False,
) -> None:
    """List what there is, one line each."""
    from restoration import listing
    from restoration.printing import columns, dump

    others = _file_families()
    if family is None:
        names = {name: "" for name in [*listing.TABLES, *others]}
        typer.echo("restoration list FAMILY, one of:\n" + columns(names))
        return
    lines = listing.listing(family, others)
    typer.echo(dump(lines) if json else columns(lines))


def show(
    name: Annotated[str, typer.Argument(help="A network, term, experiment, protocol, restorer, …")],
) -> None:
    """Show all there is to know of one part: its keys, defaults, units and source."""
    from restoration import listing
    from restoration.config import nearest
    from restoration.errors import RequestError

    texts = listing.part_texts(name)
    others = _file_families()
    describe = {
        "experiments": listing.text_of,
        "protocols": _protocol_text,
        "restorers": _restorer_text,
        "architectures": listing.architecture_text,
    }
    texts += [describe[family](name) for family in describe if not texts and name in others[family]()]
    texts += (
        [f"metric {name}\n\n{others['metrics']()[name]}"] if not texts and name in others["metrics"]() else []
    )
    if not texts:
        names = [n for load in others.values() for n in load()] + [
            n for _, t in listing.TABLES.values() for n in t()
        ]
        raise RequestError(f"show: unknown name '{name}'{nearest(name, names)}")
    typer.echo("\n\n".join(texts))


def _file_families() -> "dict[str, Callable[[], dict[str, str]]]":  # noqa: F821
    """Return the families that lie in files or in packages above this one."""
    from restoration import catalogue, listing

    return {
        "architectures": listing.architectures,
        "conventions": _conventions,
        "experiments": listing.experiments,
        "metrics": _metrics,
        "protocols": _protocols,
        "restorers": _restorers,
        "weights": catalogue.lines,
    }


def _conventions() -> dict[str, str]:
    from restoration.benchmarks.conventions import convention_lines

    return convention_lines()


def _metrics() -> dict[str, str]:
    from restoration.benchmarks.metrics import METRICS

    return {name: (metric.__doc__ or "").split("\n")[0] for name, metric in METRICS.items()}


def _protocols() -> dict[str, str]:
    from restoration.benchmarks.protocol import protocol_names
    from restoration.benchmarks.toys import NAME as TOY

    names = [*protocol_names(), TOY]
    return {name: _protocol_text(name).split("\n", 1)[0].lstrip("# ") for name in names}


def _protocol_text(name: str) -> str:
    from importlib.resources import files

    from restoration.benchmarks.toys import NAME, described

    if name == NAME:
        return described()
    return files("restoration.benchmarks").joinpath("protocols", f"{name}.toml").read_text(encoding="utf-8")


def _restorers() -> dict[str, str]:
    from restoration.weights import available

    return available()


def _restorer_text(name: str) -> str:
    from restoration.weights import shipped

    path = shipped().get(name)
    return path.with_suffix(".md").read_text(encoding="utf-8") if path else f"{name}\n\n{_restorers()[name]}"
