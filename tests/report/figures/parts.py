"""Parts of a drawn figure."""

from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure


def axes_of(figure: Figure):
    return [axis for axis in figure.axes if axis.get_visible()]


def titles_of(figure: Figure) -> str:
    titles = [axis.get_title(loc=place) for axis in figure.axes for place in ("left", "center", "right")]
    return " ".join([figure.get_suptitle(), *titles])


def error_bars(figure: Figure) -> list[ErrorbarContainer]:
    return [box for axis in figure.axes for box in axis.containers if isinstance(box, ErrorbarContainer)]


def texts_of(figure: Figure) -> str:
    """The texts in the axes, on one line."""
    return " ".join(" ".join(text.get_text() for axis in figure.axes for text in axis.texts).split())
