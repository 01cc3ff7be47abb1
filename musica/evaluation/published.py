"""Published errors on 300W and WFLW, and the table that puts measured ones beside them.

``METHOD.md`` section 12. The note of each set says what divides its errors.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from musica.errors import InputError
from musica.evaluation.report import metric_label

WHOLE = "all"


@dataclass(frozen=True)
class PublishedSet:
    """Published numbers on one test set with one normaliser.

    Attributes:
        note: text below the table.
        normalization: key of ``metrics.NORMALISERS``.
        landmark_count: number of landmarks.
        faces: the whole set (``WHOLE``) and its subsets -> number of faces.
        methods: method -> measure -> values as printed, in the order of ``faces``: NME and failure
            rates in per cent, areas under the curve as fractions. Where nothing was published
            there is a dash, or the values end.
    """

    note: str
    normalization: str
    landmark_count: int
    faces: dict[str, int]
    methods: dict[str, dict[str, str]]

    def check(self, metric: str, normalization: str, landmark_counts: Set[int]) -> None:
        """Raises InputError unless the numbers measure the same thing."""
        if (metric, normalization) != ("NME", self.normalization):
            raise InputError(f"the published numbers are NME ({self.normalization})")
        if landmark_counts != {self.landmark_count}:
            raise InputError(f"the published numbers need Data of {self.landmark_count} landmarks")

    def rows(self, measure: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Each method that has the measure, and its values by subset; also the set's "faces"."""
        if measure == "faces":
            yield "whole set", {name: str(count) for name, count in self.faces.items()}
        for method, measures in self.methods.items():
            if measure in measures:
                values = zip(self.faces, measures[measure].split("/"), strict=False)
                yield method, {name: value for name, value in values if value != "-"}


def published_set(name: str) -> PublishedSet:
    """Returns the published numbers of a key of ``PUBLISHED``.

    Raises:
        InputError: there are none of that name.
    """
    if name not in PUBLISHED:
        known = ", ".join(PUBLISHED)
        raise InputError(f"no published numbers are called {name!r} (known: {known})")
    return PUBLISHED[name]


def comparison(summaries: Sequence[dict], published: PublishedSet | None = None) -> list[list[str]]:
    """All methods side by side, and below them what was published.

    Returns:
        Rows of cells, the header first: measure, method, and its value on the whole set and on each
        subset, in the units of the papers: per cent, but for areas under the curve.
    """
    columns = [WHOLE, *summaries[0]["subsets"]]
    ours = [(summary["desc"], _measures(summary)) for summary in summaries]
    table = [["measure", "method", *columns]]
    for measure in ours[0][1]:
        rows = [(desc, measures[measure]) for desc, measures in ours]
        if published:
            rows += [
                (f"{name} (published)", values)
                for name, values in published.rows(measure)
                if not values.keys().isdisjoint(columns)
            ]
        label = metric_label(summaries[0]) if measure == summaries[0]["metric"] else measure
        unit = "" if measure == "faces" or measure.startswith("AUC@") else ", %"
        table += [
            [label + unit, name, *(values.get(column, "-") for column in columns)]
            for name, values in rows
        ]
    return table


def markdown(table: Sequence[Sequence[str]]) -> str:
    """A table as text."""
    header, *rows = ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join([header, "|---" * len(table[0]) + "|", *rows])


def _measures(summary: dict) -> dict[str, dict[str, str]]:
    """Measure -> its value on the whole set and on each subset that has faces."""
    sets = {WHOLE: summary, **summary["subsets"]}
    measures: dict[str, dict[str, str]] = {"faces": {}, summary["metric"]: {}}
    for name, numbers in sets.items():
        count, listed = numbers["faces"], numbers.get("listed", numbers["faces"])
        measures["faces"][name] = str(count) if count == listed else f"{count} of {listed}"
        if count:
            measures[summary["metric"]][name] = f"{100 * numbers['mean']:.2f}"
            for t, rate in numbers["failure_rate"].items():
                measures.setdefault(f"FR@{t}", {})[name] = f"{100 * rate:.2f}"
            for t, area in numbers["auc"].items():
                measures.setdefault(f"AUC@{t}", {})[name] = f"{area:.4f}"
    return measures


_FACES_300W = {"common": 554, "challenging": 135, WHOLE: 689}

PUBLISHED = {
    "wflw": PublishedSet(
        note=(
            "Published numbers: WFLW's test set, NME by the distance of the outer eye corners; "
            "the normaliser of the 2021 release's number is not stated."
        ),
        normalization="ocular",
        landmark_count=98,
        faces={
            WHOLE: 2500,
            "pose": 326,
            "expression": 314,
            "illumination": 698,
            "make-up": 206,
            "occlusion": 736,
            "blur": 773,
        },
        methods={
            "ESR": {
                "NME": "11.13/25.88/11.47/10.49/11.05/13.75/12.20",
                "FR@0.1": "35.24/90.18/42.04/30.80/38.84/47.28/41.40",
                "AUC@0.1": "0.2774/0.0177/0.1981/0.2953/0.2485/0.1946/0.2204",
            },
            "SDM": {
                "NME": "10.29/24.10/11.45/9.32/9.38/13.03/11.28",
                "FR@0.1": "29.40/84.36/33.44/26.22/27.67/41.85/35.32",
                "AUC@0.1": "0.3002/0.0226/0.2293/0.3237/0.3125/0.2060/0.2398",
            },
            "CFSS": {
                "NME": "9.07/21.36/10.09/8.30/8.74/11.76/9.96",
                "FR@0.1": "20.56/66.26/23.25/17.34/21.84/32.88/23.67",
                "AUC@0.1": "0.3659/0.0632/0.3157/0.3854/0.3691/0.2688/0.3037",
            },
            "DVLN": {
                "NME": "6.08/11.54/6.78/5.73/5.98/7.33/6.88",
                "FR@0.1": "10.84/46.93/11.15/7.31/11.65/16.30/13.71",
                "AUC@0.1": "0.4551/0.1474/0.3889/0.4743/0.4494/0.3794/0.3973",
            },
            "LAB": {
                "NME": "5.27/10.24/5.51/5.23/5.15/6.79/6.32",
                "FR@0.1": "7.56/28.83/6.37/6.73/7.77/13.72/10.74",
                "AUC@0.1": "0.5323/0.2345/0.4951/0.5433/0.5394/0.4490/0.4630",
            },
            "Wing": {
                "NME": "5.11/8.75/5.36/4.93/5.41/6.37/5.81",
                "FR@0.1": "6.00/22.70/4.78/4.30/7.77/12.50/7.76",
                "AUC@0.1": "0.5504/0.3100/0.4959/0.5408/0.5582/0.4885/0.4918",
            },
            "AWing": {
                "NME": "4.36/7.38/4.58/4.32/4.27/5.19/4.96",
                "FR@0.1": "2.84/13.50/2.23/2.58/2.91/5.98/3.75",
                "AUC@0.1": "0.5719/0.3120/0.5149/0.5777/0.5715/0.5022/0.5120",
            },
            "PFLD 0.25x, re-implemented": {"NME": "6.16"},
            "PFLD 1x, re-implemented": {"NME": "5.84"},
            "Knowing When to Quit, 2021 release, 49 patches": {"NME": "-/-/8.8"},
        },
    ),
    "300w_pupil": PublishedSet(
        note=(
            "Published numbers: 300W, NME by the distance of the means of the eye points; "
            "for Knowing When to Quit this normaliser is inferred."
        ),
        normalization="pupil",
        landmark_count=68,
        faces=_FACES_300W,
        methods={
            "SDM": {"NME": "5.57/15.40/7.50"},
            "ESR": {"NME": "5.28/17.00/7.58"},
            "CFSS": {"NME": "4.73/9.98/5.76"},
            "3DDFA": {"NME": "6.15/10.59/7.01"},
            "TCDCN": {"NME": "4.80/8.60/5.54"},
            "MDM": {"NME": "4.83/10.14/5.88"},
            "RCN": {"NME": "4.67/8.44/5.41"},
            "RAR": {"NME": "4.12/8.35/4.94"},
            "DVLN": {"NME": "3.94/7.62/4.66"},
            "TSR": {"NME": "4.36/7.56/4.99"},
            "LAB": {"NME": "4.20/7.41/4.92"},
            "Knowing When to Quit, 95 M multiply-adds": {"NME": "-/8.16"},
        },
    ),
    "300w_ocular": PublishedSet(
        note="Published numbers: 300W, NME by the distance of the outer eye corners.",
        normalization="ocular",
        landmark_count=68,
        faces=_FACES_300W,
        methods={
            "SAN": {"NME": "3.34/6.60/3.98"},
            "LAB": {"NME": "2.98/5.19/3.49"},
            "HRNet-W18": {"NME": "2.91/5.11/3.34"},
        },
    ),
}
