"""The rooms of the harness and the arrows between them, drawn from the imports in its code."""

from __future__ import annotations

import ast
import html
from itertools import pairwise
from pathlib import Path

Graph = dict[str, set[str]]
"""Room → the rooms that it imports."""

WIDTH, ROW, BOX_HEIGHT, LETTER, PAD = 760, 84, 34, 8.6, 13
SWEEPS = 12


def graph(harness: Path) -> Graph:
    """All folders and modules directly in `harness`, with what each imports of the others."""
    parts = {path.stem: path for path in sorted(harness.iterdir()) if path.suffix == ".py" or any(path.glob("*.py"))}
    del parts["__init__"]
    found: Graph = {}
    for name, path in parts.items():
        files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
        found[name] = {other for file in files for other in _imports(file)} & set(parts) - {name}
    return found


def _imports(file: Path) -> set[str]:
    """The second parts of the dotted names `harness.…` that a file imports."""
    dotted: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            dotted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            dotted |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in dotted if name.startswith("harness.")}


def reach(found: Graph, start: str) -> set[str]:
    """All rooms that `start` comes to over one arrow or more; ValueError where it comes back to itself."""
    seen: set[str] = set()
    open_ = list(found[start])
    while open_:
        name = open_.pop()
        if name not in seen:
            seen.add(name)
            open_ += found[name]
    if start in seen:
        raise ValueError(f"harness/{start} imports itself over other rooms")
    return seen


def essential(found: Graph) -> Graph:
    """Only the arrows that do not follow from others."""
    return {
        name: {one for one in others if not any(one in reach(found, other) for other in others - {one})}
        for name, others in found.items()
    }


def levels(found: Graph) -> dict[str, int]:
    """How far each room is above the lowest ones."""
    height: dict[str, int] = {}
    for name in sorted(found, key=lambda name: len(reach(found, name))):
        height[name] = 1 + max((height[other] for other in found[name]), default=-1)
    return height


def svg(found: Graph) -> str:
    """The picture: a room above those that it imports. Arrows that follow from others are left out."""
    arrows, height = essential(found), levels(found)
    paths = _paths(arrows, height)
    places = _places(_rows(paths, height))
    top = max(height.values())
    lines = [_arrow([places[point] for point in path], top) for path in paths]
    boxes = [_box(name, *places[name, height[name]], top) for name in found]
    summary = ", ".join(f"{name} ({len(others)} below it)" for name, others in found.items() if others)
    return (
        f'<figure class="rooms"><svg viewBox="0 0 {WIDTH} {(top + 1) * ROW}" role="img" '
        'aria-labelledby="rooms-title rooms-description" xmlns="http://www.w3.org/2000/svg">'
        '<title id="rooms-title">The rooms of harness/ and what they import</title>'
        f'<desc id="rooms-description">{len(found)} rooms in {top + 1} rows; each imports only from lower ones. '
        f"{html.escape(summary)}. The list below the picture has every arrow.</desc>"
        '<defs><marker id="rooms-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>'
        f"{''.join(lines)}{''.join(boxes)}</svg>"
        "<figcaption>Drawn from the imports in the code. An arrow means “imports”; "
        "one that follows from others is left out.</figcaption></figure>"
    )


def words(found: Graph) -> str:
    """Every arrow, as a list that folds."""
    rows = [
        f"<li><code>{name}</code> imports {', '.join(sorted(others)) or 'no other room'}</li>"
        for name, others in sorted(found.items(), key=lambda one: (-len(one[1]), one[0]))
    ]
    return f'<details class="arrows"><summary>Every arrow in words</summary><ul>{"".join(rows)}</ul></details>'


Point = tuple[str, int]
"""What is drawn in a row: a room, or an arrow on its way through."""


def _paths(arrows: Graph, height: dict[str, int]) -> list[list[Point]]:
    """Each arrow with a point in every row that it passes."""
    return [
        [(name, height[name])]
        + [(f"{name}→{other}", row) for row in range(height[name] - 1, height[other], -1)]
        + [(other, height[other])]
        for name, others in arrows.items()
        for other in sorted(others)
    ]


def _rows(paths: list[list[Point]], height: dict[str, int]) -> list[list[Point]]:
    """The points of each row, from the lowest, in an order with few crossings: each near its neighbours' middle."""
    rows: list[list[Point]] = [[] for _ in range(max(height.values()) + 1)]
    points = dict.fromkeys(
        [*((name, row) for name, row in height.items()), *(point for path in paths for point in path)]
    )
    for point in points:
        rows[point[1]].append(point)
    beside: dict[Point, list[Point]] = {point: [] for point in points}
    for upper, lower in (pair for path in paths for pair in pairwise(path)):
        beside[upper].append(lower)
        beside[lower].append(upper)
    for sweep in range(SWEEPS):
        up = sweep % 2 == 0
        for row in rows if up else reversed(rows):
            where = {point: (i + 0.5) / len(other) for other in rows for i, point in enumerate(other)}
            step = -1 if up else 1
            row.sort(key=lambda point: _middle(point, beside[point], where, step))
    return rows


def _middle(point: Point, beside: list[Point], where: dict[Point, float], step: int) -> float:
    near = [where[other] for other in beside if other[1] == point[1] + step]
    return sum(near) / len(near) if near else where[point]


def _places(rows: list[list[Point]]) -> dict[Point, tuple[float, float]]:
    """The middle of each point: a row's boxes share its width, arrows on their way need little of it."""
    found: dict[Point, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        widths = [_width(name) if "→" not in name else 14.0 for name, _ in row]
        gap = (WIDTH - sum(widths)) / (len(row) + 1)
        x = gap
        for point, width in zip(row, widths, strict=True):
            found[point] = (x + width / 2, number)
            x += width + gap
    return found


def _width(name: str) -> float:
    return len(name) * LETTER + 2 * PAD


def _y(row: float, top: int) -> float:
    return (top - row) * ROW + ROW / 2


def _arrow(places: list[tuple[float, float]], top: int) -> str:
    (x, row), *rest = places
    path = f"M{x:.0f} {_y(row, top) + BOX_HEIGHT / 2:.0f}"
    before = (x, _y(row, top) + BOX_HEIGHT / 2)
    for i, (x, row) in enumerate(rest):
        y = _y(row, top) - (BOX_HEIGHT / 2 + 2 if i == len(rest) - 1 else 0)
        half = (y - before[1]) / 2
        path += f" C{before[0]:.0f} {before[1] + half:.0f} {x:.0f} {y - half:.0f} {x:.0f} {y:.0f}"
        before = (x, y)
    return f'<path class="arrow" d="{path}" marker-end="url(#rooms-head)"/>'


def _box(name: str, x: float, row: float, top: int) -> str:
    y, width = _y(row, top), _width(name)
    return (
        f'<g><rect x="{x - width / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" '
        f'width="{width:.0f}" height="{BOX_HEIGHT}" rx="5"/>'
        f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle">{name}</text></g>'
    )
