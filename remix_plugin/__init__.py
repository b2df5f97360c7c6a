"""ReMIX and its rivals as first-class citizens of BenchMARL.

Importing this package registers its algorithms and tasks with BenchMARL; under
BenchMARL's own ``run.py`` that happens by itself.
"""

from remix_plugin.configs import get_experiment_config
from remix_plugin.registration import register, register_algorithm

__all__ = ["get_experiment_config", "register", "register_algorithm"]
__version__ = "0.2.0"

register()
