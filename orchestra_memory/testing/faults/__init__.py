"""Faults on demand: a network, a memory, servers and processes that misbehave as a test says."""

from .memory import FaultyMemory as FaultyMemory
from .processes import kill as kill
from .processes import resume as resume
from .processes import stop as stop
from .processes import stopped as stopped
from .proxy import Direction as Direction
from .proxy import FaultProxy as FaultProxy
from .script import Fault as Fault
from .script import Verb as Verb
from .script import Way as Way
from .services import EmulatorService as EmulatorService
from .services import ExportFailed as ExportFailed
from .services import RedisService as RedisService
from .services import Service as Service
