"""The rules, one file a promise, or half of one. Each looks at the whole view and adds what it finds to the report."""

from .i01_complete import complete
from .i01_fitting import fitting
from .i02_unique import unique
from .i03_order import order
from .i04_atomic import atomic
from .i05_metadata import metadata
from .i06_provenance import provenance
from .i06_answers import answers
from .i07_paid_once import paid_once
from .i08_stable import stable
from .i09_fencing import fencing
from .i10_no_torn_read import no_torn_read
from .i11_live import live

RULES = (
    complete, fitting, unique, order, atomic, metadata, provenance, answers, paid_once, stable, fencing, no_torn_read, live,
)
