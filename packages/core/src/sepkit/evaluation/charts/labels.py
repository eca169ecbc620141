"""Where the names of points stand, so that they cover neither each other nor a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .axes import LETTER

Place = tuple[float, float]
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom

ASCENT, DESCENT = 9.0, 3.0  # pixels, of a line of text
CLEAR = 6.0  # pixels around a point
NEAR = (8.0, 20.0, 34.0, 50.0, 70.0, 95.0)  # pixels from the point; all but the nearest names have a line to it


class Spot(NamedTuple):
    """Where a name's baseline begins, ends or is centred, and the line to its point where it is far off."""

    x: float
    y: float
    anchor: str
    leader: tuple[Place, Place] | None


def place_labels(points: Sequence[Place], names: Sequence[str], bounds: Rectangle) -> list[Spot]:
    """A spot for each name, as near to its point as is free; crowded points are served first.

    Where nothing is free, the name stands to the point's right whatever it covers.
    """
    taken = [(x - CLEAR, y - CLEAR, x + CLEAR, y + CLEAR) for x, y in points]
    found: dict[int, Spot] = {}
    crowd = [sum(abs(x - u) < 80 and abs(y - v) < 40 for u, v in points) for x, y in points]
    for index in sorted(range(len(points)), key=lambda index: (-crowd[index], points[index])):
        width = LETTER * len(names[index])
        for spot in _spots(points[index]):
            room = _room(spot, width)
            if _inside(room, bounds) and not any(_overlap(room, other) for other in taken):
                break
        else:
            spot = next(iter(_spots(points[index])))
            room = _room(spot, width)
        taken.append(room)
        found[index] = spot
    return [found[index] for index in range(len(points))]


def _spots(point: Place) -> list[Spot]:
    x, y = point
    spots = []
    for distance in NEAR:
        slant = 0.7 * distance
        sides = (
            (x + distance, y, "start"),
            (x - distance, y, "end"),
            (x, y - distance, "middle"),
            (x, y + distance, "middle"),
            (x + slant, y - slant, "start"),
            (x + slant, y + slant, "start"),
            (x - slant, y - slant, "end"),
            (x - slant, y + slant, "end"),
        )
        for u, v, anchor in sides:
            baseline = v + (ASCENT - DESCENT) / 2
            if anchor == "middle":
                baseline = v if v < y else v + ASCENT - DESCENT
            leader = ((x, y), (u, v)) if distance > NEAR[0] else None
            spots.append(Spot(u, baseline, anchor, leader))
    return spots


def _room(spot: Spot, width: float) -> Rectangle:
    left = {"start": spot.x, "middle": spot.x - width / 2, "end": spot.x - width}[spot.anchor]
    return (left, spot.y - ASCENT, left + width, spot.y + DESCENT)


def _inside(room: Rectangle, bounds: Rectangle) -> bool:
    return room[0] >= bounds[0] and room[1] >= bounds[1] and room[2] <= bounds[2] and room[3] <= bounds[3]


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
