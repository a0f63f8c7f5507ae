"""Faults on demand: a network between two parts that misbehaves, and processes that hang or die."""

from .processes import kill as kill
from .processes import resume as resume
from .processes import stop as stop
from .processes import stopped as stopped
from .proxy import Direction as Direction
from .proxy import FaultProxy as FaultProxy
