"""How long the properties are searched for a counter-example.

``HYPOTHESIS_PROFILE=thorough`` takes minutes and another path each time; ``glance`` shows the first
counter-example as it was found.
"""

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "quick",
    deadline=None,
    derandomize=True,
    max_examples=60,
    stateful_step_count=25,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "glance",
    settings.get_profile("quick"),
    phases=(Phase.generate,),
    report_multiple_bugs=False,
)
settings.register_profile(
    "thorough",
    settings.get_profile("quick"),
    derandomize=False,
    max_examples=1_500,
    stateful_step_count=50,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
