"""Pictures as SVG text: boxes, arrows and bars on a light ground that reads the same by day and by night."""

from __future__ import annotations

from html import escape

FONT = "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\""
GROUND, INK, FAINT = "#ffffff", "#1c2530", "#7a8794"
COLOURS = ("#2f6db5", "#c2571a", "#3a8a4d", "#8a4fa3", "#b8860b", "#2a8c8c", "#b03a5b", "#5b6abf", "#6b7a2a", "#996633")
"""Tell neighbours apart; each has enough contrast against the ground for text."""


class Picture:
    """A picture in the making."""

    def __init__(self, width: int, height: int, title: str) -> None:
        """
        Args:
            width: in pixels of a page at its full size.
            height: likewise.
            title: what the picture shows, for those who do not see it.
        """
        self.width, self.height, self.title = width, height, title
        self._parts: list[str] = []

    def text(self, x: float, y: float, words: str, size: float = 13, colour: str = INK, anchor: str = "start", bold: bool = False) -> None:
        """Words at a place.

        Args:
            x: of the anchor.
            y: of the letters' base line.
            words: as they are.
            size: of the font.
            colour: of the letters.
            anchor: ``start``, ``middle`` or ``end``: where the words are at x.
            bold: whether they are.
        """
        weight = ' font-weight="600"' if bold else ""
        place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{colour}" text-anchor="{anchor}"'
        self._parts.append(f"<text {place}{weight}>{escape(words)}</text>")

    def box(self, x: float, y: float, width: float, height: float, fill: str = "#eef3f8", edge: str = "#b9c6d3") -> None:
        """A rectangle with round corners."""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        self._parts.append(f'<rect {place} rx="5" fill="{fill}" stroke="{edge}"/>')

    def bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle."""
        self._parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" fill="{colour}"/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = FAINT, width: float = 1.2, arrow: bool = False) -> None:
        """A straight line, with an arrow's head at its end if so wanted."""
        head = ' marker-end="url(#head)"' if arrow else ""
        place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self._parts.append(f'<line {place} stroke="{colour}" stroke-width="{width:g}"{head}/>')

    def curve(self, x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.1) -> None:
        """A line that leaves and arrives level."""
        middle = (x1 + x2) / 2
        path = f"M{x1:.1f},{y1:.1f} C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
        self._parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" opacity="0.75"/>')

    def path(self, points: list[tuple[float, float]], colour: str) -> None:
        """A line through points, each marked."""
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        self._parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>' for x, y in points]

    def __str__(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" {FONT}>'
        )
        arrow = (
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
            f'<path d="M0,0 L8,4 L0,8 z" fill="{FAINT}"/></marker></defs>'
        )
        ground = f'<rect width="{self.width}" height="{self.height}" rx="8" fill="{GROUND}"/>'
        return "\n".join([head, f"<title>{escape(self.title)}</title>", arrow, ground, *self._parts, "</svg>"]) + "\n"
